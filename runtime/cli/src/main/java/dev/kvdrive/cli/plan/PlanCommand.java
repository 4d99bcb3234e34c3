package dev.kvdrive.cli.plan;

import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.ClusterOptions;
import dev.kvdrive.cli.cluster.Surroundings;
import dev.kvdrive.cli.option.DeploymentOptions;
import dev.kvdrive.model.file.FileFault;
import dev.kvdrive.model.file.Printable;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.Planner;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive plan}: does a deployment fit its budgets, and what would. */
@Command(
    name = "plan",
    description =
        "Proves that a deployment fits its budgets, or says what would. The deployment is described"
            + " by options, by manifests as the operator would read them, or by what is in a cluster.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {"0:it fits", "1:failed", "2:wrong usage", "3:it does not fit"})
public final class PlanCommand implements Callable<Integer> {
  /** Exit status where a plan does not fit. */
  public static final int INFEASIBLE = 3;

  private static final String DEFAULT_NAMESPACE = "default";

  @Spec private CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "NAME",
      description =
          "A deployment of the cluster, judged as the operator judges it, in place of options that describe one.")
  private @Nullable String name;

  @Option(
      names = {"-f", "--manifest"},
      paramLabel = "FILE",
      description =
          "InferenceDeployments to plan, and the InferenceClasses they use; - for standard input."
              + " May be repeated; takes the place of the options that describe a deployment.")
  private @Nullable List<String> manifests;

  @Option(
      names = {"-n", "--namespace"},
      paramLabel = "NAME",
      description =
          "Namespace of NAME, and of manifests that name none (default: that of the cluster's context; without a"
              + " cluster default).")
  private @Nullable String namespace;

  @Option(
      names = "--cluster",
      description =
          "Judge manifests as if they were applied to the cluster: classes that they do not bring, quotas with what"
              + " runs, and namespaces are the cluster's.")
  private boolean cluster;

  @Option(
      names = "--kube-context",
      paramLabel = "NAME",
      description = "Context of the kubeconfig (default: its current one).")
  private @Nullable String context;

  @Mixin private ClusterOptions clusterOptions = new ClusterOptions();

  @Option(
      names = "--class-required",
      description =
          "Judge manifests as an operator that was installed with classes.required=true: what names"
              + " no class is refused.")
  private boolean classRequired;

  @Mixin private DeploymentOptions deployment = new DeploymentOptions();

  @Option(
      names = "--json",
      description = "Print JSON: an object, or with manifests an array of one for each deployment.")
  private boolean json;

  @Override
  public Integer call() {
    ModelSource models = ModelSource.fromEnvironment(System.getenv());
    checkTheKind();
    if (name != null) {
      refuseOptionsOfADeployment(name);
      return planned(List.of(stored(name)));
    }
    if (manifests == null) {
      Plan plan = Planner.plan(deployment.request(spec, models::geometry));
      print(json ? text(PlanReport.tree(plan)) : PlanReport.table(plan));
      return plan.feasible() ? 0 : INFEASIBLE;
    }
    refuseOptionsOfADeployment("-f");
    if (!cluster) {
      return planned(
          judged(
              Objects.requireNonNullElse(namespace, DEFAULT_NAMESPACE), models, null, manifests));
    }
    try (Cluster opened = clusterOptions.open(spec, context, namespace)) {
      return planned(judged(opened.namespace(), models, new Surroundings(opened), manifests));
    }
  }

  /** One kind of description at a time, and options only of that kind. */
  private void checkTheKind() {
    if (name != null && manifests != null) {
      throw wrongUsage(
          "%s is a deployment of the cluster, -f a manifest; leave one out".formatted(name));
    }
    if (name == null && manifests == null) {
      if (classRequired) {
        throw wrongUsage("--class-required is about manifests; give them with -f");
      }
      if (cluster) {
        throw wrongUsage(
            "--cluster is about manifests; give them with -f, or name a deployment of the cluster");
      }
    }
    if (name == null && !cluster && (context != null || clusterOptions.given())) {
      throw wrongUsage(
          "%s says which cluster; add --cluster to judge manifests by it"
              .formatted(context != null ? "--kube-context" : "--kubeconfig"));
    }
  }

  private ParameterException wrongUsage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  private ManifestPlans.Judged stored(String deployment) {
    try (Cluster opened = clusterOptions.open(spec, context, namespace)) {
      return InCluster.stored(
          opened.deployment(deployment), new Surroundings(opened), classRequired);
    }
  }

  private List<ManifestPlans.Judged> judged(
      String namespace,
      ModelSource models,
      @Nullable Surroundings surroundings,
      List<String> files) {
    ManifestPlans plans =
        new ManifestPlans(namespace, classRequired, models::geometry, surroundings);
    for (String file : files) {
      plans.read(file.equals("-") ? "standard input" : file, content(file));
    }
    return plans.judge();
  }

  private int planned(List<ManifestPlans.Judged> judged) {
    print(
        json
            ? text(judged.stream().map(PlanReport::tree).toList())
            : String.join("\n", judged.stream().map(PlanReport::table).toList()));
    return judged.stream().allMatch(ManifestPlans.Judged::feasible) ? 0 : INFEASIBLE;
  }

  private void refuseOptionsOfADeployment(String by) {
    List<OptionSpec> described = Objects.requireNonNull(spec.mixins().get("deployment")).options();
    for (OptionSpec given : spec.commandLine().getParseResult().matchedOptions()) {
      if (described.contains(given)) {
        throw new ParameterException(
            spec.commandLine(),
            "%s and %s exclude each other: the %s describes the deployment"
                .formatted(given.longestName(), by, name == null ? "manifest" : "cluster"));
      }
    }
  }

  private static String content(String file) {
    try {
      return file.equals("-")
          ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8)
          : Files.readString(Path.of(file));
    } catch (MalformedInputException e) {
      throw new IllegalArgumentException("%s is no text in UTF-8".formatted(file), e);
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "%s; give a file with manifests, or - for standard input"
              .formatted(FileFault.words(Path.of(file), e)),
          e);
    }
  }

  private static String text(Object tree) {
    return JsonMapper.builder()
        .enable(SerializationFeature.INDENT_OUTPUT)
        .build()
        .writeValueAsString(tree);
  }

  private void print(String text) {
    spec.commandLine().getOut().println(Printable.of(text.stripTrailing()));
  }
}

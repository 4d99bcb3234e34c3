package dev.kvdrive.cli.plan;

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
import picocli.CommandLine.Spec;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive plan}: does a deployment fit its budgets, and what would. */
@Command(
    name = "plan",
    description =
        "Proves that a deployment fits its budgets, or says what would. The deployment is described"
            + " by options, or by manifests as the operator would read them.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {"0:it fits", "1:failed", "2:wrong usage", "3:it does not fit"})
public final class PlanCommand implements Callable<Integer> {
  /** Exit status where a plan does not fit. */
  public static final int INFEASIBLE = 3;

  @Spec private CommandSpec spec;

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
      defaultValue = "default",
      description = "Namespace of manifests that name none (default: ${DEFAULT-VALUE}).")
  private String namespace;

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
    if (manifests == null) {
      if (classRequired) {
        throw new ParameterException(
            spec.commandLine(), "--class-required is about manifests; give them with -f");
      }
      Plan plan = Planner.plan(deployment.request(spec, models::geometry));
      print(json ? text(PlanReport.tree(plan)) : PlanReport.table(plan));
      return plan.feasible() ? 0 : INFEASIBLE;
    }
    refuseOptionsOfADeployment();
    ManifestPlans plans = new ManifestPlans(namespace, classRequired, models::geometry);
    for (String file : manifests) {
      plans.read(file.equals("-") ? "standard input" : file, content(file));
    }
    List<ManifestPlans.Judged> judged = plans.judge();
    print(
        json
            ? text(judged.stream().map(PlanReport::tree).toList())
            : String.join("\n", judged.stream().map(PlanReport::table).toList()));
    return judged.stream().allMatch(ManifestPlans.Judged::feasible) ? 0 : INFEASIBLE;
  }

  private void refuseOptionsOfADeployment() {
    List<OptionSpec> described = Objects.requireNonNull(spec.mixins().get("deployment")).options();
    for (OptionSpec given : spec.commandLine().getParseResult().matchedOptions()) {
      if (described.contains(given)) {
        throw new ParameterException(
            spec.commandLine(),
            "%s and -f exclude each other: the manifest describes the deployment"
                .formatted(given.longestName()));
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

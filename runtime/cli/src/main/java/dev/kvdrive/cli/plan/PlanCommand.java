package dev.kvdrive.cli.plan;

import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.ByteSizeConverter;
import dev.kvdrive.cli.option.RopeOptions;
import dev.kvdrive.cli.option.ShareConverter;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
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
  static final int INFEASIBLE = 3;

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

  @Option(
      names = "--model",
      paramLabel = "URI",
      description =
          "GGUF file, Hugging Face folder, a config.json alone, hf://OWNER/NAME[@REVISION] (only"
              + " headers are downloaded), or builtin:kvdrive-tiny-32k.")
  private @Nullable String model;

  @Option(
      names = "--context",
      paramLabel = "TOKENS",
      converter = Bounded.Context.class,
      description = "Tokens of prompt and answer together.")
  private @Nullable Integer context;

  @Mixin private RopeOptions rope = new RopeOptions();

  @Option(
      names = "--concurrency",
      paramLabel = "N",
      converter = Bounded.Concurrency.class,
      description = "Requests at once (default: 1).")
  private @Nullable Integer concurrency;

  @Option(
      names = "--budget",
      paramLabel = "SHARE",
      converter = ShareConverter.class,
      description = "Share of the context attended per step, or 'exact' (default: 6.25%%).")
  private @Nullable Double budget;

  @Option(
      names = "--kv-type",
      paramLabel = "TYPE",
      description = "Type of cached keys and values: ${COMPLETION-CANDIDATES} (default: BF16).")
  private @Nullable KvType kvType;

  @Option(
      names = "--device",
      paramLabel = "KIND",
      description = "Device: ${COMPLETION-CANDIDATES} (default: CPU, as for serve).")
  private @Nullable DeviceKind device;

  @Option(
      names = "--gpu",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "GPU memory budget, for instance 24Gi.")
  private @Nullable Long gpu;

  @Option(
      names = "--dram",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "DRAM budget.")
  private @Nullable Long dram;

  @Option(
      names = "--nvme",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Size of the NVMe volume (default: none).")
  private @Nullable Long nvme;

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
      Plan plan = Planner.plan(request(models));
      print(json ? text(PlanReport.tree(plan)) : PlanReport.table(plan));
      return plan.feasible() ? 0 : INFEASIBLE;
    }
    refuse("--model", model);
    refuse("--context", context);
    refuse("--rope-scaling", rope.given() ? rope : null);
    refuse("--concurrency", concurrency);
    refuse("--budget", budget);
    refuse("--kv-type", kvType);
    refuse("--device", device);
    refuse("--gpu", gpu);
    refuse("--dram", dram);
    refuse("--nvme", nvme);
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

  private PlanRequest request(ModelSource models) {
    List<String> missing = new ArrayList<>();
    if (model == null) {
      missing.add("--model");
    }
    if (context == null) {
      missing.add("--context");
    }
    if (gpu == null) {
      missing.add("--gpu");
    }
    if (dram == null) {
      missing.add("--dram");
    }
    if (model == null || context == null || gpu == null || dram == null) {
      throw new ParameterException(
          spec.commandLine(),
          "missing %s; describe the deployment by options, or by -f MANIFEST"
              .formatted(String.join(", ", missing)));
    }
    int seats = concurrency == null ? 1 : concurrency;
    RopeScaling scaling = rope.scaling(spec);
    ModelGeometry geometry = models.geometry(model);
    try {
      return new PlanRequest(
          geometry.extended(scaling),
          context,
          seats,
          budget == null ? PlanRequest.DEFAULT_BUDGET : budget,
          kvType == null ? KvType.BF16 : kvType,
          new TierBudgets(gpu, dram, nvme == null ? 0 : nvme),
          device == null ? DeviceKind.CPU : device,
          Math.multiplyExact(seats, PlanRequest.DEFAULT_QUEUE_PER_SEAT));
    } catch (IllegalArgumentException e) {
      // The model is one; what does not go with it was asked for here.
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
  }

  private void refuse(String option, @Nullable Object value) {
    if (value != null) {
      throw new ParameterException(
          spec.commandLine(),
          "%s and -f exclude each other: the manifest describes the deployment".formatted(option));
    }
  }

  private static String content(String file) {
    try {
      return file.equals("-")
          ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8)
          : Files.readString(Path.of(file));
    } catch (MalformedInputException e) {
      throw new IllegalArgumentException("%s is no text in UTF-8".formatted(file), e);
    } catch (FileSystemException e) {
      throw new IllegalArgumentException(
          "%s cannot be read (%s); give a file with manifests, or - for standard input"
              .formatted(file, e.getClass().getSimpleName()),
          e);
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "%s cannot be read (%s); give a file with manifests, or - for standard input"
              .formatted(file, e.getMessage()),
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
    spec.commandLine().getOut().println(text.stripTrailing());
  }
}

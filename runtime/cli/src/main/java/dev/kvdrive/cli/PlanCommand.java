package dev.kvdrive.cli;

import dev.kvdrive.cli.option.ByteSizeConverter;
import dev.kvdrive.cli.option.ShareConverter;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive plan}: does a deployment fit its budgets, and what would. */
@Command(
    name = "plan",
    description = "Proves that a deployment fits its budgets, or says what would.",
    mixinStandardHelpOptions = true,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {"0:it fits", "1:failed", "2:wrong usage", "3:it does not fit"})
final class PlanCommand implements Callable<Integer> {
  static final int INFEASIBLE = 3;

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "PATH",
      description = "GGUF file, Hugging Face folder, or a config.json alone.")
  private Path model;

  @Option(names = "--context", required = true, description = "Tokens of prompt and answer.")
  private int context;

  @Option(
      names = "--concurrency",
      defaultValue = "1",
      description = "Requests at once (default: ${DEFAULT-VALUE}).")
  private int concurrency;

  @Option(
      names = "--budget",
      defaultValue = "6.25%",
      converter = ShareConverter.class,
      description = "Share of the context attended per step (default: ${DEFAULT-VALUE}).")
  private double budget;

  @Option(
      names = "--kv-type",
      defaultValue = "BF16",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private KvType kvType;

  @Option(
      names = "--device",
      defaultValue = "CUDA",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private DeviceKind device;

  @Option(
      names = "--gpu",
      required = true,
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "GPU memory budget, for instance 24Gi.")
  private long gpu;

  @Option(
      names = "--dram",
      required = true,
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "DRAM budget.")
  private long dram;

  @Option(
      names = "--nvme",
      defaultValue = "0",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Size of the NVMe volume (default: none).")
  private long nvme;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public Integer call() {
    PlanRequest request =
        new PlanRequest(
            ModelLoader.geometry(model),
            context,
            concurrency,
            budget,
            kvType,
            new TierBudgets(gpu, dram, nvme),
            device,
            concurrency * PlanRequest.DEFAULT_QUEUE_PER_SEAT);
    Plan plan = Planner.plan(request);
    String text =
        json
            ? JsonMapper.builder()
                .enable(SerializationFeature.INDENT_OUTPUT)
                .build()
                .writeValueAsString(PlanReport.tree(plan))
            : PlanReport.table(plan);
    spec.commandLine().getOut().println(text.stripTrailing());
    return plan.feasible() ? 0 : INFEASIBLE;
  }
}

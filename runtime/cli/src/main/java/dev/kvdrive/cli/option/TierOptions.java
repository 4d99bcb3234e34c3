package dev.kvdrive.cli.option;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.cli.serve.ScratchFolder;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Budgets of a measurement; a tier that is not named gets what the request needs. */
public final class TierOptions {
  @Option(
      names = "--gpu",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description =
          "GPU memory (default: a window of two selections of the largest sparse budget, or of everything).")
  private @Nullable Long gpu;

  @Option(
      names = "--dram",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "DRAM (default: the whole KV cache).")
  private @Nullable Long dram;

  @Option(
      names = "--nvme",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "NVMe (default: none).")
  private @Nullable Long nvme;

  @Option(
      names = "--nvme-dir",
      paramLabel = "DIR",
      description = "Folder on the drive (default: one of its own, removed at the end).")
  private @Nullable Path nvmeDir;

  /**
   * A request with these budgets.
   *
   * @param budget share of the context that the window is made for: it holds two selections of it,
   *     or everything
   */
  public PlanRequest applyTo(PlanRequest request, double budget) {
    double windows = Math.min(2 * budget, 1) / request.attention().budget().share();
    TierBudgets all = new ComfortableTiers(windows, 1).of(request);
    return request.withTiers(
        new TierBudgets(
            gpu == null ? all.gpu() : gpu,
            dram == null ? all.dram() : dram,
            nvme == null ? all.nvme() : nvme));
  }

  /** The folder that was named. */
  public @Nullable Path nvmeDir() {
    return nvmeDir;
  }

  /**
   * A folder of its own for the NVMe tier if one is used and none was named.
   *
   * @param cache where it is made
   */
  public @Nullable ScratchFolder scratch(Path cache) {
    return nvme != null && nvme > 0 && nvmeDir == null
        ? ScratchFolder.below(cache.resolve("nvme"), "run-")
        : null;
  }
}

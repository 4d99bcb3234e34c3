package dev.kvdrive.cli.option;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.cli.serve.ScratchFolder;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

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

  @Option(
      names = "--nvme-encryption",
      paramLabel = "CIPHER",
      converter = EncryptionConverter.class,
      description =
          "How what is written to the drive is encrypted: aes-gcm, or none (default: none).")
  private NvmeEncryption encryption = NvmeEncryption.NONE;

  /**
   * Checks that what is to be encrypted is there.
   *
   * @throws ParameterException of the command if it is not
   */
  public void require(CommandSpec spec) {
    if (encryption.encrypts() && (nvme == null || nvme == 0)) {
      throw new ParameterException(
          spec.commandLine(),
          "--nvme-encryption %s: there is no NVMe tier, beside which nothing is encrypted; add --nvme SIZE"
              .formatted(encryption.word()));
    }
  }

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
            nvme == null ? all.nvme() : nvme,
            0,
            encryption));
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

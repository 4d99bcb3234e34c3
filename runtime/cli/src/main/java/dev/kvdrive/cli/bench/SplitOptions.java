package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.speed.ProbeSettings.Tiers;
import dev.kvdrive.cli.option.EncryptionConverter;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.plan.NvmeEncryption;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** How the KV cache of what is measured is split over the tiers. */
final class SplitOptions {
  @Option(
      names = "--window",
      paramLabel = "SELECTIONS",
      defaultValue = "2",
      description =
          "Size of the window in selections of a sparse budget (default: ${DEFAULT-VALUE}).")
  private double window;

  @Option(
      names = "--nvme-dir",
      paramLabel = "DIR",
      description =
          "Folder on the drive, in which every engine has one of its own, removed at the end"
              + " (default: in the cache folder).")
  private @Nullable Path nvmeDir;

  @Option(
      names = "--nvme-encryption",
      paramLabel = "CIPHER",
      converter = EncryptionConverter.class,
      description =
          "How what is written to the drive is encrypted: aes-gcm, or none (default: none).")
  private NvmeEncryption encryption = NvmeEncryption.NONE;

  /** Size of the window in selections. */
  double window() {
    return window;
  }

  /** The folder on the drive. */
  Path nvme() {
    return nvmeDir != null ? nvmeDir : LocalRuntime.cacheFolder().resolve("nvme");
  }

  /**
   * Such tiers.
   *
   * @param dramShare share of the KV cache that has room in DRAM
   */
  Tiers tiers(double dramShare) {
    return new Tiers(window, dramShare, nvme()).with(encryption);
  }

  /**
   * Checks the size of the window, and that what is to be encrypted is there.
   *
   * @param onNvme whether anything is on NVMe
   * @param wayOut what has something there
   * @throws ParameterException of the command if it holds nothing, or there is nothing to encrypt
   */
  void require(CommandSpec spec, boolean onNvme, String wayOut) {
    if (encryption.encrypts() && !onNvme) {
      throw new ParameterException(
          spec.commandLine(),
          "--nvme-encryption %s: all is in DRAM and nothing on NVMe; add %s"
              .formatted(encryption.word(), wayOut));
    }
    if (!(window > 0)) {
      throw new ParameterException(
          spec.commandLine(),
          "--window: a window of %s selections holds nothing".formatted(window));
    }
  }
}

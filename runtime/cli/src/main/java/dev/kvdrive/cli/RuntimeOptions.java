package dev.kvdrive.cli;

import dev.kvdrive.plan.KvType;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** The runtime's settings as options of the command line. */
final class RuntimeOptions {
  @Option(
      names = "--model",
      defaultValue = "builtin:kvdrive-tiny-32k",
      paramLabel = "URI",
      description = "builtin:NAME, hf://OWNER/NAME@REVISION or a path (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(
      names = "--context",
      defaultValue = "32768",
      description = "Tokens of prompt and answer together (default: ${DEFAULT-VALUE}).")
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
      description =
          "Share of the context attended per step; 100%% is exact (default: ${DEFAULT-VALUE}).")
  private double budget;

  @Option(
      names = "--kv-type",
      defaultValue = "BF16",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private KvType kvType;

  @Option(
      names = "--gpu",
      defaultValue = "256Mi",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Budget of the GPU tier (default: ${DEFAULT-VALUE}).")
  private long gpu;

  @Option(
      names = "--dram",
      defaultValue = "256Mi",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Budget of the DRAM tier (default: ${DEFAULT-VALUE}).")
  private long dram;

  @Option(
      names = "--nvme",
      defaultValue = "0",
      paramLabel = "SIZE",
      converter = ByteSizeConverter.class,
      description = "Size of the NVMe tier (default: none).")
  private long nvme;

  @Option(
      names = "--nvme-dir",
      defaultValue = "/tmp/kvdrive-nvme",
      paramLabel = "DIR",
      description = "Folder for the NVMe tier, on a local drive (default: ${DEFAULT-VALUE}).")
  private Path nvmeDir;

  @Option(
      names = "--threads",
      defaultValue = "0",
      description = "Threads of the CPU device (default: one per processor).")
  private int threads;

  /** As arguments of the runtime. */
  List<String> properties() {
    return List.of(
        "--kvdrive.model.uri=" + model,
        "--kvdrive.context-length=" + context,
        "--kvdrive.concurrency=" + concurrency,
        "--kvdrive.budget=" + budget,
        "--kvdrive.kv-type=" + kvType,
        "--kvdrive.tiers.gpu-bytes=" + gpu,
        "--kvdrive.tiers.dram-bytes=" + dram,
        "--kvdrive.tiers.nvme-bytes=" + nvme,
        "--kvdrive.tiers.nvme-dir=" + nvmeDir.toAbsolutePath(),
        "--kvdrive.threads=" + threads);
  }
}

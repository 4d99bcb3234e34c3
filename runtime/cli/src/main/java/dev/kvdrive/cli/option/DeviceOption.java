package dev.kvdrive.cli.option;

import dev.kvdrive.plan.DeviceKind;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What a command computes on. Nothing else takes its place where it cannot be used. */
public final class DeviceOption {
  @Option(
      names = "--device",
      paramLabel = "KIND",
      description =
          "What to compute on: ${COMPLETION-CANDIDATES} (default: CPU). CUDA takes the first GPU that"
              + " the driver shows.")
  private @Nullable DeviceKind kind;

  /** The kind that was named, or null. */
  public @Nullable DeviceKind named() {
    return kind;
  }

  /** The kind to use. */
  public DeviceKind kind() {
    return kind == null ? DeviceKind.CPU : kind;
  }
}

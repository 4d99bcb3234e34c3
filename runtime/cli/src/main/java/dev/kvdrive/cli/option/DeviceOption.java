package dev.kvdrive.cli.option;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.plan.DeviceKind;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

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

  /**
   * Checks that the device that was named can be used here.
   *
   * @throws ParameterException of the command if not, with the reason and the way out
   */
  public void require(CommandSpec spec) {
    if (kind == null) {
      return;
    }
    try {
      DeviceFactory.require(kind);
    } catch (DeviceException e) {
      throw new ParameterException(spec.commandLine(), "--device: " + e.getMessage(), e);
    }
  }
}

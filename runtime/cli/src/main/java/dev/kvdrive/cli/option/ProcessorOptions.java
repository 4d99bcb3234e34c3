package dev.kvdrive.cli.option;

import dev.kvdrive.plan.DeviceKind;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** What a command that measures computes on, and with how many threads. */
public final class ProcessorOptions {
  @Mixin private DeviceOption device = new DeviceOption();

  @Option(
      names = "--threads",
      paramLabel = "N",
      converter = Bounded.Count.class,
      defaultValue = "0",
      description = "Threads of the CPU device (default: as many as processors).")
  private int threads;

  /** The device to use. */
  public DeviceKind device() {
    return device.kind();
  }

  /** Threads of the CPU device, at least 1. */
  public int threads() {
    return threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
  }

  /**
   * Checks that the device that was named can be used here.
   *
   * @throws ParameterException of the command if not, with the reason and the way out
   */
  public void require(CommandSpec spec) {
    UsableDevice.require(device, spec);
  }
}

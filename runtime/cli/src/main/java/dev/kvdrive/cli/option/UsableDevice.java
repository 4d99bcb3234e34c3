package dev.kvdrive.cli.option;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.plan.DeviceKind;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/**
 * Whether what a command shall compute on is here. Only what computes asks, and needs an engine.
 */
public final class UsableDevice {
  private UsableDevice() {}

  /**
   * Checks that the device that was named can be used here.
   *
   * @throws ParameterException of the command if not, with the reason and the way out
   */
  public static void require(DeviceOption device, CommandSpec spec) {
    DeviceKind kind = device.named();
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

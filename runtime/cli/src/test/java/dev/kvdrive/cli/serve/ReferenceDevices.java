package dev.kvdrive.cli.serve;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ReferenceDevice;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.server.serving.DeviceFactory;

/** The scalar device that defines what every operation computes. */
public final class ReferenceDevices implements DeviceFactory {
  @Override
  public DeviceKind kind() {
    return DeviceKind.CPU;
  }

  @Override
  public Device open(long memoryBytes, int threads) {
    return new ReferenceDevice(memoryBytes);
  }
}

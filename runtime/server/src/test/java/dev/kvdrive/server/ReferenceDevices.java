package dev.kvdrive.server;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.ReferenceDevice;
import dev.kvdrive.plan.DeviceKind;
import org.jspecify.annotations.Nullable;

/** The scalar device that defines what every operation computes. */
final class ReferenceDevices implements DeviceFactory {
  @Override
  public DeviceKind kind() {
    return DeviceKind.CPU;
  }

  @Override
  public @Nullable DeviceException unavailable() {
    return null;
  }

  @Override
  public Device open(long memoryBytes, long hostBytes, int threads) {
    return new ReferenceDevice(memoryBytes, hostBytes, ElementType.F32);
  }
}

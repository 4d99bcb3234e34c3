package dev.kvdrive.cpu;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.plan.DeviceKind;
import org.jspecify.annotations.Nullable;

/** The CPU device, with the Vector API; its memory is a budgeted arena in host memory. */
public final class CpuDevices implements DeviceFactory {
  @Override
  public DeviceKind kind() {
    return DeviceKind.CPU;
  }

  @Override
  public @Nullable DeviceException unavailable() {
    return CpuDevice.unavailable();
  }

  @Override
  public Device open(long memoryBytes, long hostBytes, int threads) {
    return CpuDevice.open(memoryBytes, hostBytes, threads);
  }
}

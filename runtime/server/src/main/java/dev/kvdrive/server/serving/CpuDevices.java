package dev.kvdrive.server.serving;

import dev.kvdrive.cpu.CpuDevice;
import dev.kvdrive.device.Device;
import dev.kvdrive.plan.DeviceKind;

/** The CPU device, with the Vector API; its memory is a budgeted arena in host memory. */
public final class CpuDevices implements DeviceFactory {
  @Override
  public DeviceKind kind() {
    return DeviceKind.CPU;
  }

  @Override
  public Device open(long memoryBytes, int threads) {
    return CpuDevice.open(memoryBytes, threads);
  }
}

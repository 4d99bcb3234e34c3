package dev.kvdrive.cuda;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.plan.DeviceKind;
import org.jspecify.annotations.Nullable;

/** The first GPU that the driver shows; {@code CUDA_VISIBLE_DEVICES} chooses among several. */
public final class CudaDevices implements DeviceFactory {
  private static final int FIRST = 0;

  @Override
  public DeviceKind kind() {
    return DeviceKind.CUDA;
  }

  @Override
  public @Nullable DeviceException unavailable() {
    return CudaDevice.unavailable();
  }

  @Override
  public Device open(long memoryBytes, long hostBytes, int threads) {
    return CudaDevice.open(FIRST, memoryBytes, hostBytes);
  }
}

package dev.kvdrive.server.serving;

import dev.kvdrive.device.Device;
import dev.kvdrive.plan.DeviceKind;

/** Opens the device that a runtime computes on. */
public interface DeviceFactory {
  /** Which kind it opens, for the plan. */
  DeviceKind kind();

  /**
   * Opens it.
   *
   * @param memoryBytes cap of its memory, the GPU tier
   * @param threads threads of a CPU device; 0 for the processors there are
   */
  Device open(long memoryBytes, int threads);
}

package dev.kvdrive.device;

import dev.kvdrive.plan.DeviceKind;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/**
 * Opens devices of one kind. A backend names its factory in {@code
 * META-INF/services/dev.kvdrive.device.DeviceFactory}; a program has the backends on its class
 * path.
 */
public interface DeviceFactory {
  /** Which kind it opens, for plans. */
  DeviceKind kind();

  /**
   * Why this machine or build cannot open one, with the way out; null if it can. A {@link
   * DeviceSoftwareException} where it is the build. Safe to ask anywhere; on a platform thread.
   */
  @Nullable DeviceException unavailable();

  /**
   * Opens a device.
   *
   * @param memoryBytes cap of its memory, the GPU tier
   * @param hostBytes cap of the host memory that is allocated through it, the DRAM tier
   * @param threads threads of a CPU device, 0 for the processors there are; of no meaning to others
   * @throws DeviceException if it cannot be opened
   */
  Device open(long memoryBytes, long hostBytes, int threads);

  /**
   * The factory of a kind that can be used here. Nothing else takes its place: whoever asks for a
   * device gets that one or an error.
   *
   * @throws DeviceException if no backend on the class path has that kind, or it is unavailable
   */
  static DeviceFactory require(DeviceKind kind) {
    for (DeviceFactory factory :
        ServiceLoader.load(DeviceFactory.class, DeviceFactory.class.getClassLoader())) {
      if (factory.kind() == kind) {
        DeviceException why = factory.unavailable();
        if (why == null) {
          return factory;
        }
        String words = "device %s cannot be used: %s".formatted(kind.word(), why.getMessage());
        throw why instanceof DeviceSoftwareException
            ? new DeviceSoftwareException(words)
            : new DeviceException(words, why);
      }
    }
    throw new DeviceSoftwareException(
        "device %s cannot be used: this program comes without its backend, kvdrive-backend-%s.jar is not on the class path"
            .formatted(kind.word(), kind.word()));
  }
}

package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Device;

/**
 * The images of runtime pods, by where these compute.
 *
 * @param cpu image without the CUDA device
 * @param cuda image with it, six times as large
 */
public record RuntimeImages(String cpu, String cuda) {
  /** The image of pods that compute there. */
  String of(Device device) {
    return switch (device) {
      case CPU -> cpu;
      case CUDA -> cuda;
    };
  }
}

package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSoftwareException;
import java.io.IOException;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.driver.CUmodule;

/**
 * A GPU of this machine: its context, this module's kernels and cuBLASLt. Opened once and kept
 * until the process ends; devices come and go on it.
 */
final class Gpu {
  /** The fat binary that the build makes of {@code src/main/cuda}. */
  static final String KERNELS = "kernels.fatbin";

  /** What to do when the build left them out. */
  static final String NO_KERNELS =
      "this build has no CUDA kernels because it found no nvcc or no g++;"
          + " put CUDA 13's nvcc on the PATH or run runtime/backend-cuda/nvcc.sh --install, then"
          + " ./kvdrive build";

  /** Kernels are compiled for this compute capability and later ones. */
  private static final int MIN_COMPUTE_CAPABILITY = 80;

  /** Fat binaries of CUDA 13 need a driver of the same major version. */
  private static final int MIN_DRIVER_VERSION = 13_000;

  private static final Map<Integer, Gpu> OPEN = new HashMap<>();

  private final Driver driver;
  private final CUmodule module;
  private final Map<String, Driver.Function> functions = new ConcurrentHashMap<>();
  private final Cublas cublas;
  private final String description;
  private final int capability;
  private final int multiprocessors;
  private final int sharedBytesOfBlock;

  private Gpu(int ordinal) {
    byte[] kernels = kernels();
    driver = new Driver(ordinal);
    capability = driver.computeCapability();
    int version = driver.version();
    description =
        "CUDA GPU %d (%s, compute capability %d.%d, %d multiprocessors, driver for CUDA %d.%d)"
            .formatted(
                ordinal,
                driver.name(),
                capability / 10,
                capability % 10,
                driver.multiprocessors(),
                version / 1000,
                version % 1000 / 10);
    if (capability < MIN_COMPUTE_CAPABILITY) {
      throw new DeviceException(
          description + " is too old: compute capability 8.0 or later is needed");
    }
    if (version < MIN_DRIVER_VERSION) {
      throw new DeviceException(
          description + " has too old a driver: one for CUDA 13.0 (580) or later is needed");
    }
    multiprocessors = driver.multiprocessors();
    sharedBytesOfBlock = driver.sharedBytesOfBlock();
    module = driver.loadModule(kernels);
    cublas = new Cublas();
  }

  /**
   * Opens a GPU, or finds it open.
   *
   * @throws DeviceException if there is none, or this build or machine cannot use it
   */
  static Gpu open(int ordinal) {
    synchronized (OPEN) {
      Gpu gpu = OPEN.get(ordinal);
      if (gpu == null) {
        gpu = new Gpu(ordinal);
        OPEN.put(ordinal, gpu);
      }
      return gpu;
    }
  }

  /** Whether the build compiled the kernels. */
  static boolean hasKernels() {
    return Gpu.class.getResource(KERNELS) != null;
  }

  /** The compiled kernels. */
  static byte[] kernels() {
    try (InputStream in = Gpu.class.getResourceAsStream(KERNELS)) {
      if (in == null) {
        throw new DeviceSoftwareException(NO_KERNELS);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new DeviceException("the CUDA kernels cannot be read: " + e.getMessage(), e);
    }
  }

  Driver driver() {
    return driver;
  }

  Cublas cublas() {
    return cublas;
  }

  String description() {
    return description + ", " + cublas.description();
  }

  /** Ten times the major number and the minor one. */
  int capability() {
    return capability;
  }

  /** Bytes of shared memory that a block can have beside a kernel's own. */
  int sharedBytesOfBlock() {
    return sharedBytesOfBlock;
  }

  int multiprocessors() {
    return multiprocessors;
  }

  /** A kernel by its name; its blocks may have as much shared memory as the GPU has for one. */
  Driver.Function kernel(String name) {
    Driver.Function known = functions.get(name);
    if (known != null) {
      return known;
    }
    Driver.Function function = driver.function(module, name);
    driver.allowShared(function, sharedBytesOfBlock - driver.staticShared(function));
    functions.put(name, function);
    return function;
  }
}

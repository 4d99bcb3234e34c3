package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import jcuda.driver.CUresult;

/** A driver call that did not succeed. */
final class CudaException extends DeviceException {
  private static final long serialVersionUID = 1L;

  private final int result;

  CudaException(String call, String name, int result) {
    super("%s: %s (%d)".formatted(call, name, result));
    this.result = result;
  }

  boolean outOfMemory() {
    return result == CUresult.CUDA_ERROR_OUT_OF_MEMORY;
  }
}

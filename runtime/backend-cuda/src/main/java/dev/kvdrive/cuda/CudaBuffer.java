package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;

/** Device memory of its own allocation, so that a tool that checks accesses sees its bounds. */
final class CudaBuffer implements DeviceBuffer {
  private final CudaDevice device;
  private final String label;
  private final long bytes;
  private volatile long address;

  CudaBuffer(CudaDevice device, String label, long bytes, long address) {
    this.device = device;
    this.label = label;
    this.bytes = bytes;
    this.address = address;
  }

  @Override
  public String label() {
    return label;
  }

  @Override
  public long bytes() {
    return bytes;
  }

  /**
   * Where it is on the device.
   *
   * @throws DeviceException if it was closed
   */
  long address() {
    long at = address;
    if (at == 0) {
      throw new DeviceException("device memory '%s' was closed".formatted(label));
    }
    return at;
  }

  @Override
  public void close() {
    device.free(this);
  }

  /** Takes the address away; 0 if it was taken before. Under the device's lock. */
  long release() {
    long at = address;
    address = 0;
    return at;
  }
}

package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.HostBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Whole pages of host memory, touched, then pinned and mapped into the device's addresses. That
 * order is cheaper by far than memory that the driver allocates.
 */
final class CudaHostBuffer implements HostBuffer {
  static final long PAGE_BYTES = 4096;

  private final CudaDevice device;
  private final String label;
  private final Arena arena;
  private final MemorySegment pages;
  private final MemorySegment segment;
  private volatile long address;
  private long round;

  CudaHostBuffer(
      CudaDevice device,
      String label,
      Arena arena,
      MemorySegment pages,
      MemorySegment segment,
      long address) {
    this.device = device;
    this.label = label;
    this.arena = arena;
    this.pages = pages;
    this.segment = segment;
    this.address = address;
  }

  @Override
  public String label() {
    return label;
  }

  @Override
  public MemorySegment segment() {
    return segment;
  }

  /** Bytes that it takes. */
  long pinnedBytes() {
    return pages.byteSize();
  }

  /** Where the host has it. */
  long hostAddress() {
    return pages.address();
  }

  /**
   * Where the device has it.
   *
   * @throws DeviceException if it was closed
   */
  long address() {
    long at = address;
    if (at == 0) {
      throw new DeviceException("host memory '%s' was closed".formatted(label));
    }
    return at;
  }

  /** Device memory in which fetch and land keep the round of the mailbox that this controls. */
  long round() {
    synchronized (device) {
      if (round == 0) {
        round = device.allocateInternal(CudaDevice.ROUND_BYTES);
      }
      return round;
    }
  }

  @Override
  public void close() {
    device.free(this);
  }

  /** Unpins and frees; false if that was done before. Under the device's lock. */
  boolean release(Driver driver) {
    if (address == 0) {
      return false;
    }
    address = 0;
    if (round != 0) {
      driver.free(round);
    }
    driver.unregister(pages.address());
    arena.close();
    return true;
  }
}

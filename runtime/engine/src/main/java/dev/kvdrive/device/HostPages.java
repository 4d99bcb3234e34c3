package dev.kvdrive.device;

import dev.kvdrive.plan.ByteSize;

/** The account of host memory that every backend keeps in the same way. */
public final class HostPages {
  private HostPages() {}

  /**
   * Bytes that a buffer counts: whole pages.
   *
   * @param used bytes that count already
   * @param capacity most that may count
   * @throws DeviceMemoryException if it would be more than that
   */
  public static long reserve(String label, long bytes, long used, long capacity) {
    long pages = Math.ceilDiv(bytes, Device.HOST_PAGE) * Device.HOST_PAGE;
    if (pages > capacity - used) {
      throw new DeviceMemoryException(
          "%s needs %,d bytes of host memory, but %,d of the budget of %,d (%s) are in use"
              .formatted(label, pages, used, capacity, ByteSize.human(capacity)));
    }
    return pages;
  }
}

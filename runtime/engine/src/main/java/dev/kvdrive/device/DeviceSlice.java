package dev.kvdrive.device;

/**
 * Part of a buffer: as many arrays in one allocation, so that all of them can be moved at once.
 * Closing it does nothing; it is gone with the buffer.
 *
 * @param whole what it is part of
 * @param offset of its first byte
 * @param bytes of it
 */
public record DeviceSlice(DeviceBuffer whole, long offset, long bytes) implements DeviceBuffer {
  public DeviceSlice {
    Checks.require(
        offset >= 0 && bytes >= 0 && offset <= whole.bytes() - bytes,
        "bytes %d to %d are outside of %s, which has %d",
        offset,
        offset + bytes,
        whole.label(),
        whole.bytes());
  }

  @Override
  public String label() {
    return whole.label();
  }

  @Override
  public void close() {}
}

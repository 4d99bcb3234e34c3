package dev.kvdrive.device;

/** An allocation would exceed a memory cap. Nothing was allocated. */
public final class DeviceMemoryException extends DeviceException {
  public DeviceMemoryException(String message) {
    super(message);
  }
}

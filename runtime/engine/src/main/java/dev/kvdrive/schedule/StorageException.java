package dev.kvdrive.schedule;

/**
 * DRAM and NVMe did not keep, or not give back, what a generation needs; the engine goes on, and
 * the same request may succeed later, or elsewhere.
 */
public final class StorageException extends GenerationException {
  public StorageException(String message) {
    super(message);
  }

  public StorageException(String message, Throwable cause) {
    super(message, cause);
  }
}

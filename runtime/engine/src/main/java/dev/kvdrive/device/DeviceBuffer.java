package dev.kvdrive.device;

/**
 * Memory of a device. The host reads and writes it only through transfers on a {@link Queue}. Owned
 * by who allocated it; using it after {@link #close} is an error that backends detect.
 */
public interface DeviceBuffer extends AutoCloseable {
  /** For messages and accounting. */
  String label();

  /** Size in bytes, as asked for. */
  long bytes();

  /** Gives the memory back; all queued work that uses it must have finished. Idempotent. */
  @Override
  void close();
}

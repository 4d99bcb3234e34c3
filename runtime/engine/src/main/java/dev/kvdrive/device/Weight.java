package dev.kvdrive.device;

/** A weight matrix {@code [rows][cols]} on a device, in a layout of the backend's choice. */
public interface Weight extends AutoCloseable {
  /** For messages. */
  String name();

  /** Output features. */
  int rows();

  /** Input features. */
  int cols();

  /** Bytes it counts against the device's cap. */
  long bytes();

  @Override
  void close();
}

package dev.kvdrive.device;

/** A point in a queue that other queues and the host can wait for. Reusable. */
public interface Event extends AutoCloseable {
  /** Whether the work before the last {@link Queue#record} has finished; true if never recorded. */
  boolean isDone();

  @Override
  void close();
}

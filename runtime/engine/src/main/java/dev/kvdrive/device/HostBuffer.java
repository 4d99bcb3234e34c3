package dev.kvdrive.device;

import java.lang.foreign.MemorySegment;

/**
 * Host memory that the device can address. Device writes become visible to the host after the queue
 * that made them was synchronised, except for the words of a {@link Mailbox}, which both sides
 * access with acquire and release.
 */
public interface HostBuffer extends AutoCloseable {
  /** For messages and accounting. */
  String label();

  /** The memory; shared between threads; invalid after {@link #close}. */
  MemorySegment segment();

  /** Size in bytes. */
  default long bytes() {
    return segment().byteSize();
  }

  /** Gives the memory back; all queued work that uses it must have finished. Idempotent. */
  @Override
  void close();
}

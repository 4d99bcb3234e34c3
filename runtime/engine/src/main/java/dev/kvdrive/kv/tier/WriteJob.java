package dev.kvdrive.kv.tier;

import org.jspecify.annotations.Nullable;

/**
 * One extent on its way from a frame to NVMe. Made and read back by the engine thread; {@code
 * checksum} and {@code failure} are set by an I/O thread in between.
 */
final class WriteJob {
  final int extent;
  final int frame;
  final int slot;
  final long identity;

  /** When it should have ended, by {@code System.nanoTime}. */
  final long deadline;

  /** Whether the frame is to be given up afterwards. */
  boolean demotes;

  /** The seat was closed meanwhile: frame and slot are to be freed. */
  boolean orphan;

  /** Under the lock of {@link IoSignals}: whether it was counted as not answered. */
  boolean overdue;

  int checksum;
  @Nullable Throwable failure;

  WriteJob(int extent, int frame, int slot, long identity, boolean demotes, long deadline) {
    this.extent = extent;
    this.frame = frame;
    this.slot = slot;
    this.identity = identity;
    this.demotes = demotes;
    this.deadline = deadline;
  }
}

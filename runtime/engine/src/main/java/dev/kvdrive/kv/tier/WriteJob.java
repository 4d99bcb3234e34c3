package dev.kvdrive.kv.tier;

import org.jspecify.annotations.Nullable;

/**
 * One extent on its way from a frame to NVMe. Made and read back by the engine thread; an I/O
 * thread fills {@code proof} and sets {@code failure} in between.
 */
final class WriteJob {
  final int extent;
  final int frame;
  final int slot;
  final long identity;

  /** Its proof in the slot, once it is written; wiped when that is noted. */
  final byte[] proof;

  /** When it should have ended, by {@code System.nanoTime}. */
  final long deadline;

  /** Whether the frame is to be given up afterwards. */
  boolean demotes;

  /** The seat was closed meanwhile: frame and slot are to be freed. */
  boolean orphan;

  /** Under the lock of {@link IoSignals}: whether it was counted as not answered. */
  boolean overdue;

  @Nullable Throwable failure;

  WriteJob(
      int extent,
      int frame,
      int slot,
      long identity,
      byte[] proof,
      boolean demotes,
      long deadline) {
    this.extent = extent;
    this.frame = frame;
    this.slot = slot;
    this.identity = identity;
    this.proof = proof;
    this.demotes = demotes;
    this.deadline = deadline;
  }
}

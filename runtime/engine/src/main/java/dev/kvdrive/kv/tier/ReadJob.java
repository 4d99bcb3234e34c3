package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.extent.ExtentTable;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One extent on its way from NVMe: for the requests of a round, or, once these have been answered
 * without it, for the sequence that has to wait for it. Under the lock of {@link IoSignals}, but
 * for what never changes.
 */
final class ReadJob {
  static final int NO_FRAME = -1;

  /** What has become of it. */
  enum State {
    WAITING,
    READING,
    DELIVERING,
    ENDED
  }

  final int extent;
  final int seat;
  final int slot;
  final long identity;

  /** Its proof in the slot when the job was made; wiped when it has ended. */
  final byte[] proof;

  /** When it should have ended, by {@code System.nanoTime}. */
  final long deadline;

  /** Frame it is read into, to stay there; or {@link #NO_FRAME}: then it is only delivered. */
  int frame = NO_FRAME;

  State state = State.WAITING;

  /** First request of the round that asked for it. */
  int firstRequest;

  /** No request waits for it any more: the extent comes to its frame, and to nobody else. */
  boolean late;

  /** The sequence has gone: only the frame is of interest. */
  boolean orphan;

  /** Whether the bytes are there. */
  boolean read;

  /** Whether it was counted as not answered. */
  boolean overdue;

  @Nullable Throwable failure;

  /** A job for an extent that is only on NVMe. */
  static ReadJob of(int extent, ExtentTable extents, SlotAllocator slots, long deadline) {
    int seat = extents.space().holder(extent);
    int slot = extents.slot(extent);
    return new ReadJob(
        extent, seat, slot, extents.identity(extent), slots.proofs().of(slot), deadline);
  }

  private ReadJob(int extent, int seat, int slot, long identity, byte[] proof, long deadline) {
    this.extent = extent;
    this.seat = seat;
    this.slot = slot;
    this.identity = identity;
    this.proof = proof;
    this.deadline = deadline;
  }

  /** No thread has anything to do with it any more. */
  void end() {
    state = State.ENDED;
    Arrays.fill(proof, (byte) 0);
  }
}

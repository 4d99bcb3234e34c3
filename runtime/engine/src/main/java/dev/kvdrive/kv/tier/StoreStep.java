package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentTable;
import java.util.HashSet;
import java.util.Set;

/**
 * A decode step as the tiers see it: its rows, which get frames before it; the misses that are
 * answered while it runs; and what it leaves, closed chunks, promotions and losses.
 *
 * <p>Belongs to the engine thread.
 */
final class StoreStep {
  private enum Phase {
    /** Nothing is provided for, or what was is void. */
    IDLE,
    PROVIDED,
    /** The device may ask for chunks. */
    ARMED
  }

  private final ExtentTable extents;
  private final ChunkFrames chunks;
  private final Recency recency;
  private final Submissions submissions;
  private final Promotion promotion;
  private final MissService misses;
  private final Mailbox mailbox;
  private final StepLosses losses;
  private final int[] seats;
  private final int[] positions;
  private int rows;
  private long timeoutNanos;
  private Phase phase = Phase.IDLE;

  StoreStep(
      ExtentTable extents,
      ChunkFrames chunks,
      Recency recency,
      Submissions submissions,
      Promotion promotion,
      MissService misses,
      Mailbox mailbox,
      StepLosses losses) {
    this.extents = extents;
    this.chunks = chunks;
    this.recency = recency;
    this.submissions = submissions;
    this.promotion = promotion;
    this.misses = misses;
    this.mailbox = mailbox;
    this.losses = losses;
    seats = new int[extents.space().seats()];
    positions = new int[extents.space().seats()];
  }

  /** Whether it is under way. */
  boolean armed() {
    return phase == Phase.ARMED;
  }

  /** What was provided is no longer enough. */
  void unprovided() {
    phase = Phase.IDLE;
  }

  /**
   * Gives frames to what the rows close.
   *
   * @param number of the device work of the step
   * @return seats for which there is no room yet
   */
  Set<Integer> provide(Queue queue, int[] ofRows, int[] at, int count, long number) {
    Set<Integer> without = Set.of();
    for (int row = 0; row < count; row++) {
      if (ofRows[row] >= 0 && !chunks.forRow(queue, ofRows[row], at[row], number)) {
        without = without.isEmpty() ? new HashSet<>() : without;
        without.add(ofRows[row]);
      }
    }
    System.arraycopy(ofRows, 0, seats, 0, count);
    System.arraycopy(at, 0, positions, 0, count);
    rows = count;
    phase = without.isEmpty() ? Phase.PROVIDED : Phase.IDLE;
    return without;
  }

  /** {@link TieredStore#beginStep(long, long)}. */
  void begin(long patience, long timeout) {
    if (phase != Phase.PROVIDED) {
      throw new IllegalStateException("provideForStep must come right before beginStep");
    }
    recency.step();
    for (int row = 0; row < rows; row++) {
      if (isOpen(row)) {
        recency.stepped(seats[row], positions[row]);
      }
    }
    timeoutNanos = timeout;
    phase = Phase.ARMED;
    misses.arm(promotion.reserved(), promotion.reserve(), patience, timeout);
  }

  private boolean isOpen(int row) {
    return seats[row] >= 0 && extents.isOpen(seats[row]);
  }

  /** {@link TieredStore#endStep}, up to what the next one finds. */
  StepFaults end(Queue queue) {
    if (phase != Phase.ARMED) {
      throw new IllegalStateException("endStep without beginStep");
    }
    boolean finished = false;
    try {
      submissions.synchronize(queue, submissions.current());
      finished = true;
    } finally {
      disarm(finished);
    }
    boolean stopped = mailbox.acquire(Mailbox.STOPPED) != 0;
    mailbox.release(Mailbox.STOPPED, 0);
    StepFaults faults = losses.take(stopped);
    commit(faults.late());
    if (!faults.late().isEmpty()) {
      faults.late().forEach(seat -> promotion.expect(seat, timeoutNanos));
    }
    for (int i = 0; i < misses.wanted(); i++) {
      promotion.want(misses.wantedExtent(i));
    }
    return faults;
  }

  /** The device asks for nothing more. */
  private void disarm(boolean finished) {
    misses.disarm();
    phase = Phase.IDLE;
    promotion.takeOver(misses, finished);
  }

  /** The store is closed, perhaps in the middle of it. */
  void abort() {
    if (armed()) {
      disarm(false);
    }
  }

  /** Notes the chunks that it has closed, but for rows that are to be repeated. */
  private void commit(Set<Integer> late) {
    for (int row = 0; row < rows; row++) {
      if (isOpen(row) && !late.contains(seats[row])) {
        chunks.closed(seats[row], positions[row]);
        promotion.stepped(seats[row]);
      }
    }
  }
}

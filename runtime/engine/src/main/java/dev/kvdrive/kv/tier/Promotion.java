package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import dev.kvdrive.kv.tier.StepFaults.Reason;
import dev.kvdrive.plan.StoreHeap;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Brings extents back from NVMe into DRAM: those that a step missed, read straight into frames that
 * were set aside, and those for which a sequence that was late has to wait.
 *
 * <p>Belongs to the engine thread.
 */
final class Promotion {
  private final Residence residence;
  private final ExtentTable extents;
  private final ExtentSpace space;
  private final FrameList frames;
  private final SlotAllocator slots;
  private final Submissions submissions;
  private final Recency recency;
  private final Demotion demotion;
  private final NvmeIo io;
  private final int[] reserve;
  private int wish;
  private int missedPriority;
  private long promotions;

  /** Sequences that have been late since their last step: what they wait for. */
  private final Map<Integer, Expected> expected = new HashMap<>();

  private static final class Expected {
    /** Extents that have no frame yet. */
    private final List<Integer> unplaced = new ArrayList<>();

    private final long timeoutNanos;
    private @Nullable Reason failure;
    private boolean waits;

    /** When a chunk came last. */
    private long cameAt = System.nanoTime();

    private Expected(long timeoutNanos) {
      this.timeoutNanos = timeoutNanos;
    }
  }

  Promotion(
      Residence residence,
      SlotAllocator slots,
      Submissions submissions,
      Recency recency,
      Demotion demotion,
      NvmeIo io) {
    this.residence = residence;
    extents = residence.extents();
    space = extents.space();
    frames = residence.frames();
    this.slots = slots;
    this.submissions = submissions;
    this.recency = recency;
    this.demotion = demotion;
    this.io = io;
    reserve = new int[StoreHeap.reserve(frames.size())];
  }

  long promotions() {
    return promotions;
  }

  // --- misses of a step ---

  /** Sets free frames aside that no device work can touch any more; returns how many. */
  int reserve() {
    int count = 0;
    while (count < reserve.length) {
      int frame = frames.takeQuiet(submissions);
      if (frame < 0) {
        break;
      }
      reserve[count++] = frame;
    }
    return count;
  }

  /** The frames of {@link #reserve}. */
  int[] reserved() {
    return reserve;
  }

  /**
   * Takes over what a step brought.
   *
   * @param install whether the step has ended well
   */
  void takeOver(MissService misses, boolean install) {
    for (int frame = misses.takeReserved(); frame >= 0; frame = misses.takeReserved()) {
      frames.give(frame);
    }
    missedPriority = Integer.MAX_VALUE;
    for (int i = 0; i < misses.promoted(); i++) {
      int e = misses.promotedExtent(i);
      if (install) {
        hold(e, misses.promotedFrame(i));
      } else {
        frames.give(misses.promotedFrame(i));
      }
      missedPriority = Math.min(missedPriority, demotion.priority(e, recency.clock()));
      came(space.holder(e));
    }
    for (int i = 0; i < misses.missed(); i++) {
      came(space.holder(misses.missedExtent(i)));
      missedPriority =
          Math.min(missedPriority, demotion.priority(misses.missedExtent(i), recency.clock()));
    }
    wish = Math.min(misses.missed() + misses.promoted(), reserve.length);
  }

  /** Makes free frames for the extents that the next step is likely to miss. */
  void makeRoom() {
    if (wish > 0 && frames.free() < wish) {
      demotion.freeWithoutWrite(wish, missedPriority);
    }
  }

  private void hold(int e, int frame) {
    if (residence.bringBack(e, frame, recency.clock())) {
      promotions++;
    }
  }

  // --- sequences that were late ---

  /** A sequence has to wait for what it missed. */
  void expect(int seat, long timeoutNanos) {
    expected.computeIfAbsent(seat, key -> new Expected(timeoutNanos)).waits = true;
  }

  /** A sequence has made its step. */
  void stepped(int seat) {
    expected.remove(seat);
  }

  private void came(int seat) {
    Expected by = expected.get(seat);
    if (by != null) {
      by.cameAt = System.nanoTime();
    }
  }

  /** An extent that a sequence would need next. */
  void want(int e) {
    Expected by = expected.get(space.holder(e));
    if (by != null && by.unplaced.size() < reserve.length && !by.unplaced.contains(e)) {
      by.unplaced.add(e);
    }
  }

  /** Takes in late reads that have ended. */
  void drain() {
    for (ReadJob job = io.reads().nextEnded(); job != null; job = io.reads().nextEnded()) {
      Throwable failure = job.failure;
      Expected by = job.orphan ? null : expected.get(job.seat);
      boolean arrived = !job.orphan && failure == null && job.frame != ReadJob.NO_FRAME;
      if (arrived && job.read && extents.slot(job.extent) == job.slot) {
        hold(job.extent, job.frame);
        came(job.seat);
      } else if (job.frame != ReadJob.NO_FRAME) {
        frames.give(job.frame);
      } else if (failure == null && by != null) {
        want(job.extent);
      }
      if (failure != null && by != null && by.failure == null) {
        by.failure =
            Reason.unreadable(space.name(job.extent), ExtentFiles.reason(failure), failure);
      }
    }
  }

  /**
   * Whether a sequence waits for extents; asks for those that have none yet if there are frames for
   * them, for which clean extents leave. Extents for which there are none are not waited for.
   *
   * @throws TierException if they do not come
   */
  boolean waits(int seat) {
    Expected by = expected.get(seat);
    if (by == null || !by.waits) {
      return false;
    }
    Reason failure = by.failure;
    if (failure != null) {
      throw new TierException(seat, failure.message(), failure.cause());
    }
    if (io.reads().abandoned()) {
      throw new TierException(seat, TierException.SHUTTING_DOWN, null);
    }
    int overdue = io.reads().overdue(seat);
    if (overdue >= 0) {
      throw new TierException(
          seat,
          "%s was not delivered from NVMe in time; the disk is overloaded or failing: try again later, or give DRAM more room"
              .formatted(space.name(overdue)),
          null);
    }
    String broken = io.health().failure();
    if (broken != null) {
      throw new TierException(seat, broken, null);
    }
    if (System.nanoTime() - by.cameAt > by.timeoutNanos) {
      // Not even begun: all threads are held up.
      io.health().unanswered(NvmeHealth.Access.READ);
      throw new TierException(
          seat,
          "no chunk was delivered from NVMe in time; the disk is overloaded or failing: try again later, or give DRAM more room",
          null);
    }
    bring(by);
    by.waits = io.reads().outstanding(seat);
    return by.waits;
  }

  private void bring(Expected by) {
    for (Iterator<Integer> i = by.unplaced.iterator(); i.hasNext(); ) {
      int e = i.next();
      i.remove();
      if (extents.slot(e) >= 0) {
        if (frames.free() == 0) {
          demotion.freeWithoutWrite(1, demotion.priority(e, recency.clock()));
        }
        int frame = frames.takeQuiet(submissions);
        if (frame >= 0) {
          ReadJob job = ReadJob.of(e, extents, slots, System.nanoTime() + by.timeoutNanos);
          job.frame = frame;
          io.reads().submit(job);
        }
      }
    }
  }

  /** The sequence of a seat has gone. */
  void forget(int seat) {
    expected.remove(seat);
    io.reads().forget(seat);
  }
}

package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Makes room in DRAM: the coldest extents leave, those without a copy on NVMe after it is written.
 * Never waits for the disk: it says whether there is room yet. Which extents leave, and in which
 * order, does not depend on how fast the disk is, unless writes fail.
 *
 * <p>Belongs to the engine thread.
 */
final class Demotion implements Ranking.Candidates {
  private static final Logger LOG = System.getLogger(Demotion.class.getName());

  /** Writes queued or under way, for each I/O thread. */
  static final int WRITES_PER_THREAD = 2;

  /** Failed writes after which a sequence gives up to wait for room. */
  private static final int MAX_FAILURES = 8;

  private final Residence residence;
  private final ExtentTable extents;
  private final ExtentSpace space;
  private final FrameList frames;
  private final SlotAllocator slots;
  private final Submissions submissions;
  private final Recency recency;
  private final NvmeIo io;
  private final DailyWrites allowed;
  private final SeatNeeds needs;
  private final Shelves shelves;
  private final Placement placement;
  private final long extentBytes;
  private final long timeoutNanos;
  private final int maxWrites;
  private final int lowWater;
  private final Ranking ranking;
  private final List<WriteJob> writes = new ArrayList<>();

  /** By seat: bytes sent to NVMe since it was opened. */
  private final long[] sent;

  private long demotions;
  private int failedWrites;
  private boolean degraded;
  private @Nullable String lastFailure;

  /** Whether the last write that was wanted was one more than may be written in a day. */
  private boolean spent;

  /** Whether it had no slot, but for one of a copy that may not be given up. */
  private boolean withoutSlot;

  /** A sequence that waits for room, or is about to. */
  static final class Wait {
    private final long since = System.nanoTime();
    private final int failuresBefore;
    private int need;
    private int least;
    private int kept;

    private Wait(int failuresBefore) {
      this.failuresBefore = failuresBefore;
    }

    /** Frames that it would like to have, and how few of them let it go on. */
    void need(int count, int fewest) {
      need = count;
      least = fewest;
    }

    int need() {
      return need;
    }

    /** Frames that are to stay free for others if they can. */
    void keep(int forOthers) {
      kept = forOthers;
    }
  }

  /**
   * @param threads I/O threads
   * @param timeoutNanos how long a sequence may wait for room
   */
  Demotion(
      Residence residence,
      SlotAllocator slots,
      Submissions submissions,
      Recency recency,
      NvmeIo io,
      DailyWrites allowed,
      SeatNeeds needs,
      Shelves shelves,
      Placement placement,
      long extentBytes,
      int threads,
      long timeoutNanos) {
    this.residence = residence;
    extents = residence.extents();
    space = extents.space();
    frames = residence.frames();
    this.slots = slots;
    this.submissions = submissions;
    this.recency = recency;
    this.io = io;
    this.allowed = allowed;
    this.needs = needs;
    this.shelves = shelves;
    this.placement = placement;
    this.extentBytes = extentBytes;
    this.timeoutNanos = timeoutNanos;
    maxWrites = WRITES_PER_THREAD * threads;
    lowWater = Math.max(space.kvHeads(), frames.size() / 16);
    ranking = new Ranking(frames, this);
    sent = new long[space.holders()];
  }

  long demotions() {
    return demotions;
  }

  /** Bytes of a seat sent to NVMe since it was opened; a write that fails and is repeated, once. */
  long sentBytes(int seat) {
    return sent[seat];
  }

  /** Whether the last write failed. */
  boolean degraded() {
    return degraded;
  }

  boolean low() {
    return frames.free() < lowWater;
  }

  boolean writing() {
    return !writes.isEmpty();
  }

  // --- who can leave ---

  @Override
  public boolean isCandidate(int frame) {
    return residence.canLeave(frame);
  }

  @Override
  public int priority(int frame) {
    int e = frames.extent(frame);
    return priority(e, recency.of(e, frames.lastUse(frame)));
  }

  /** Priority of an extent that was last used in a step. */
  int priority(int e, int lastUse) {
    return placement.priority(
        space.layer(e), space.holder(e), space.kvHead(e), space.extent(e), lastUse);
  }

  // --- room ---

  /** A wait that begins now. */
  Wait begin() {
    return new Wait(failedWrites);
  }

  /**
   * Goes on making room.
   *
   * @return whether it can go on: the frames that it would like to have are free, or as many of
   *     them as let it go on, and the tiers are full; otherwise writes are under way that will make
   *     some free
   * @throws TierException if there will be too few for it to go on, or not in time
   */
  boolean makeRoom(Queue queue, int seat, Wait wait) {
    int need = wait.need + wait.kept;
    if (frames.free() >= need) {
      return true;
    }
    recency.read(queue, submissions);
    submissions.poll();
    boolean synchronised = false;
    while (true) {
      if (letGo(need)) {
        return true;
      }
      String failure = io.health().failure();
      if (failure != null) {
        throw new TierException(
            seat, "there is no room in DRAM without the NVMe tier: " + failure, null);
      }
      if (!writes.isEmpty() || frames.inHands() > 0) {
        checkPatience(seat, wait);
        return false;
      }
      if (synchronised) {
        // Others may have taken what was there when it asked.
        if (frames.free() >= wait.least) {
          return true;
        }
        throw new TierException(seat, fullMessage(wait.least), null);
      }
      submissions.synchronize(queue, submissions.current() - 1);
      synchronised = true;
    }
  }

  /** Lets the coldest go, as far as the queue of writes has room; whether so many are free. */
  private boolean letGo(int need) {
    spent = false;
    withoutSlot = false;
    int leaving = 0;
    for (WriteJob job : writes) {
      // What is being written already was the coldest.
      if (!job.demotes && !job.orphan && frames.free() + leaving < need) {
        job.demotes = true;
      }
      leaving += job.demotes || job.orphan ? 1 : 0;
    }
    ranking.begin();
    while (frames.free() + leaving < need) {
      int frame = ranking.coldest();
      boolean copied = frame >= 0 && frames.copy(frame) >= 0;
      if (copied) {
        leave(frame);
      }
      // What nobody needs now makes nobody wait for the disk, nor wears it.
      if (copied || clearOldest(true)) {
        continue;
      }
      if (frame < 0) {
        break;
      }
      if (write(frame, true)) {
        leaving++;
      } else if (!(withoutSlot && clearOldest(false))
          && !((spent || withoutSlot) && leaveCopied())) {
        break;
      }
    }
    return frames.free() >= need;
  }

  /**
   * Clears the shelf that was not used for longest; false if there is none.
   *
   * @param frees whether only of those that alone have a frame
   */
  private boolean clearOldest(boolean frees) {
    int shelf = shelves.oldest(holder -> !frees || frames.heldBy(holder) > 0);
    if (shelf < 0) {
      return false;
    }
    clear(shelf);
    return true;
  }

  /** Frees what a shelf alone has. */
  void clear(int shelf) {
    forget(shelf);
    extents.close(shelf);
    shelves.forget(shelf);
  }

  /** Whether the extent in a frame is on shelves alone. */
  private boolean keptOnly(int frame) {
    return !space.isSeat(space.holder(frames.extent(frame)));
  }

  /** The coldest extent that has a copy on NVMe leaves; false if none can. */
  private boolean leaveCopied() {
    int coldest = -1;
    int lowest = 0;
    for (int frame = 0; frame < frames.size(); frame++) {
      if (frames.copy(frame) >= 0 && isCandidate(frame)) {
        int priority = priority(frame);
        if (coldest < 0 || priority < lowest) {
          coldest = frame;
          lowest = priority;
        }
      }
    }
    if (coldest >= 0) {
      leave(coldest);
    }
    return coldest >= 0;
  }

  /**
   * Whether an extent may lose its copy to another one: what is left of the day is enough for all
   * that those in seats were promised, and for one extent more. Admission counts copies as written.
   */
  private boolean mayWriteAgain() {
    long due = needs.leaving(0, 0) - residence.validSlots() + 1;
    for (WriteJob job : writes) {
      due -= job.orphan ? 0 : 1; // it has been taken from the day
    }
    return due * extentBytes <= allowed.left();
  }

  private void checkPatience(int seat, Wait wait) {
    if (io.reads().abandoned()) {
      throw new TierException(seat, "no room in DRAM: " + TierException.SHUTTING_DOWN, null);
    }
    if (failedWrites - wait.failuresBefore >= MAX_FAILURES) {
      throw new TierException(
          seat,
          "no room in DRAM: extents cannot be written to the NVMe tier: %s; check the disk"
              .formatted(lastFailure),
          null);
    }
    if (System.nanoTime() - wait.since >= timeoutNanos) {
      throw new TierException(
          seat,
          "no room in DRAM: %d writes to the NVMe tier did not end in %d ms; the disk is overloaded or failing: try again later, or give DRAM more room"
              .formatted(writes.size(), TimeUnit.NANOSECONDS.toMillis(timeoutNanos)),
          null);
    }
  }

  private String fullMessage(int need) {
    return spent
        ? "no room in DRAM: " + allowed.shortage(need * extentBytes)
        : "DRAM and NVMe tier are full: %d extents of %d bytes are needed, %d of %d are free in DRAM and %d of %d on NVMe; end other sequences, shorten the context, or enlarge a tier%s"
            .formatted(
                need,
                extentBytes,
                frames.free(),
                frames.size(),
                slots.freeSlots(),
                slots.slots(),
                lastFailure == null ? "" : " (last failed write: " + lastFailure + ")");
  }

  /** An extent with a copy on NVMe gives up its frame. */
  private void leave(int frame) {
    residence.leave(frame);
    demotions++;
  }

  /** Sends an extent to NVMe; false if there is no room for it, there or in the queue. */
  private boolean write(int frame, boolean demotes) {
    if (writes.size() >= maxWrites || io.health().failure() != null) {
      return false;
    }
    int slot = residence.slotFor(frame, mayWriteAgain());
    if (slot < 0) {
      withoutSlot = true;
      return false;
    }
    if (!allowed.take(extentBytes)) {
      residence.giveBack(slot);
      spent = true;
      return false;
    }
    int e = frames.extent(frame);
    WriteJob job =
        new WriteJob(
            e,
            frame,
            slot,
            extents.identity(e),
            slots.proofs().blank(),
            demotes,
            System.nanoTime() + timeoutNanos);
    residence.beginWrite(frame);
    sent[space.holder(e)] += extentBytes;
    writes.add(job);
    io.writes().submit(job);
    return true;
  }

  // --- ahead of need ---

  /**
   * Writes the extents that leave next while there is still room, so that leaving costs nothing;
   * nothing where none will have to leave.
   */
  void writeBehind() {
    if (degraded || !low() || slots.freeSlots() == 0 || needs.fitDram(0, 0)) {
      return;
    }
    ranking.begin();
    int ahead = lowWater - frames.free();
    int i = 0;
    while (i < ahead && writes.size() < maxWrites && slots.freeSlots() > 0) {
      int frame = ranking.ahead(i);
      if (frame < 0) {
        // A list that still has some is used up first.
        if (i > 0 || !ranking.another()) {
          return;
        }
      } else {
        if (frames.copy(frame) < 0
            && !frames.writing(frame)
            && !keptOnly(frame)
            && !write(frame, false)) {
          return;
        }
        i++;
      }
    }
  }

  /**
   * Makes frames free without a write, as long as colder extents can leave so.
   *
   * @param wish frames that should be free
   * @param below what leaves has a lower priority
   */
  void freeWithoutWrite(int wish, int below) {
    ranking.begin();
    int i = 0;
    while (frames.free() < wish) {
      int frame = ranking.ahead(i);
      if (frame < 0) {
        if (i > 0 || !ranking.another()) {
          return;
        }
      } else if (frames.writing(frame)) {
        i++;
      } else if (frames.copy(frame) >= 0 && ranking.priority(i) < below) {
        leave(frame);
      } else {
        return;
      }
    }
  }

  /** Prepares the next ranking in proportion to what of the last is used up. */
  void pace() {
    if (low()) {
      ranking.pace();
    }
  }

  // --- what I/O brought ---

  /** Takes in writes that have ended. */
  void drain() {
    for (WriteJob job = io.writes().nextEnded(); job != null; job = io.writes().nextEnded()) {
      finish(job);
    }
  }

  private void finish(WriteJob job) {
    writes.remove(job);
    Throwable failure = job.failure;
    if (failure != null) {
      failedWrites++;
      lastFailure = ExtentFiles.reason(failure);
      if (!degraded) {
        LOG.log(
            Level.WARNING,
            "the NVMe tier is degraded, extents stay in DRAM as long as there is room: {0}",
            lastFailure);
      }
    } else if (degraded) {
      LOG.log(Level.INFO, "the NVMe tier takes writes again");
    }
    degraded = failure != null;
    if (job.orphan) {
      residence.orphanWritten(job.frame, job.slot);
    } else if (failure != null) {
      residence.notWritten(job.frame, job.slot);
    } else {
      residence.written(job.frame, job.slot, job.proof);
      if (job.demotes) {
        leave(job.frame);
      }
    }
    Arrays.fill(job.proof, (byte) 0);
  }

  // --- the end of a seat ---

  /** Frees what a holder alone has; what I/O still reads is freed when that has ended. */
  void forget(int holder) {
    for (WriteJob job : writes) {
      if (!job.orphan) {
        int e = frames.extent(job.frame);
        if (space.holder(e) == holder && !extents.shared(e)) {
          job.orphan = true;
          job.demotes = false;
          residence.orphan(job.frame);
        }
      }
    }
    residence.forget(holder);
    sent[holder] = 0;
  }
}

package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.StoreHeap;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Answers the mailbox while a step is armed. One thread notices a round, groups its requests by
 * extent and hands them to the I/O threads; when the round's patience ends, it answers what has not
 * come. It never touches the disk itself: a read that does not end must not keep it from the next
 * step's rounds.
 *
 * <p>A device that rings the doorbell is not polled once it has rung for the first time; for one
 * that does not, the thread spins for a short while and then naps between looks, and only while a
 * step is armed.
 *
 * <p>Between {@link #arm} and {@link #disarm} the engine thread leaves the extent tables alone;
 * both take the lock under which a round is grouped, so the thread never sees a table that changes.
 */
final class MissService implements AutoCloseable {
  private static final Logger LOG = System.getLogger(MissService.class.getName());
  private static final int SPINS = 2_000;
  private static final long NAP_NANOS = TimeUnit.MICROSECONDS.toNanos(20);
  private static final long RING_NAP_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
  private static final int STATUS_WORD = 5;
  private static final int MAX_MISSED = StoreHeap.REMEMBERED_MISSES;

  private final ExtentSpace space;
  private final KvLayout layout;
  private final int maxChunks;
  private final ExtentTable extents;
  private final SlotAllocator slots;
  private final Mailbox mailbox;
  private final NvmeIo io;
  private final StepLosses losses;
  private final Thread thread;
  private volatile boolean stopped;
  private volatile boolean armed;
  private volatile boolean rings;

  // under this object's monitor
  private final ReadRound round;
  private boolean live;
  private long expiresAt;
  private int lastRound;
  private long servingNanos;
  private long patienceNanos;
  private long timeoutNanos;
  private final int[] reserve;
  private int reserved;
  private final int[] promotedExtents;
  private final int[] promotedFrames;
  private int promoted;
  private final int[] missedExtents = new int[MAX_MISSED];
  private int missed;
  private final int[] wantedExtents = new int[MAX_MISSED];
  private int wanted;

  /**
   * @param reserve frames for promotions of one step at most
   */
  MissService(
      ExtentTable extents,
      SlotAllocator slots,
      KvLayout layout,
      int maxChunks,
      Mailbox mailbox,
      NvmeIo io,
      StepLosses losses,
      int reserve) {
    this.space = extents.space();
    this.extents = extents;
    this.slots = slots;
    this.layout = layout;
    this.maxChunks = maxChunks;
    this.mailbox = mailbox;
    this.io = io;
    this.losses = losses;
    round = new ReadRound(mailbox.capacity());
    this.reserve = new int[reserve];
    promotedExtents = new int[reserve];
    promotedFrames = new int[reserve];
    thread = new Thread(this::run, "kvdrive-mailbox");
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** For {@link Mailbox#doorbell}. */
  void ring() {
    rings = true;
    LockSupport.unpark(thread);
  }

  // --- the engine thread's side ---

  /**
   * From here on rounds are served.
   *
   * @param frames free frames into which missed extents may be read, to stay there
   * @param count how many
   * @param patience how long, in nanoseconds, a round may last
   * @param timeout after how many nanoseconds a read is not answered
   */
  synchronized void arm(int[] frames, int count, long patience, long timeout) {
    // First requests first: what is taken from the end was given last.
    for (int i = 0; i < count; i++) {
      reserve[i] = frames[count - 1 - i];
    }
    reserved = count;
    promoted = 0;
    missed = 0;
    wanted = 0;
    servingNanos = 0;
    patienceNanos = patience;
    timeoutNanos = timeout;
    armed = true;
    if (!rings) {
      LockSupport.unpark(thread);
    }
  }

  /**
   * Rounds are no longer served, and nothing that is under way reaches the mailbox any more. What
   * the step left is then read through the methods below.
   */
  synchronized void disarm() {
    armed = false;
    finishRound();
    lastRound = mailbox.acquire(Mailbox.ROUND);
  }

  /** Extents read into frames in the last step. */
  synchronized int promoted() {
    return promoted;
  }

  synchronized int promotedExtent(int i) {
    return promotedExtents[i];
  }

  synchronized int promotedFrame(int i) {
    return promotedFrames[i];
  }

  /** Extents delivered without a frame in the last step, the first of them. */
  synchronized int missed() {
    return missed;
  }

  synchronized int missedExtent(int i) {
    return missedExtents[i];
  }

  /** Extents that late sequences asked for in vain, the first of them. */
  synchronized int wanted() {
    return wanted;
  }

  synchronized int wantedExtent(int i) {
    return wantedExtents[i];
  }

  /** How long the device's rounds of the last step took to be answered, one after the other. */
  synchronized long servingNanos() {
    return servingNanos;
  }

  /** Takes back a frame that was not used, or -1. */
  synchronized int takeReserved() {
    return reserved == 0 ? -1 : reserve[--reserved];
  }

  @Override
  public void close() {
    stopped = true;
    LockSupport.unpark(thread);
    IoThread.join(thread, System.nanoTime() + TimeUnit.SECONDS.toNanos(10));
  }

  boolean stuck() {
    return thread.isAlive();
  }

  // --- the thread ---

  private void run() {
    try {
      int looks = 0;
      int seen = 0;
      while (!stopped) {
        if (!armed) {
          looks = 0;
          LockSupport.park(this);
        } else if (mailbox.acquire(Mailbox.ROUND) != seen) {
          looks = 0;
          seen = serve();
        } else {
          long left = expire();
          if (rings) {
            LockSupport.parkNanos(this, Math.min(left, RING_NAP_NANOS));
          } else if (looks < SPINS) {
            looks++;
            Thread.onSpinWait();
          } else {
            LockSupport.parkNanos(this, Math.min(left, NAP_NANOS));
          }
        }
      }
    } catch (Throwable t) {
      io.died(thread.getName(), t);
    }
  }

  /** Ends a round whose patience has ended; returns the nanoseconds that one has left. */
  private synchronized long expire() {
    if (!live) {
      return Long.MAX_VALUE;
    }
    long left = expiresAt - System.nanoTime();
    if (left > 0) {
      return left;
    }
    expiresAt = System.nanoTime() + TimeUnit.DAYS.toNanos(1);
    io.reads().expire(round);
    return RING_NAP_NANOS;
  }

  /** Takes a round over if there is a new one; returns the last round looked at. */
  private synchronized int serve() {
    int number = mailbox.acquire(Mailbox.ROUND);
    if (!armed || number == lastRound) {
      return armed ? number : lastRound;
    }
    finishRound();
    lastRound = number;
    try {
      group(number);
    } catch (Throwable t) {
      // Whoever waits for this round is told; the thread goes on with the next.
      LOG.log(Level.ERROR, "a round of the mailbox could not be served", t);
      losses.fail(
          TierException.NO_SEAT,
          "a chunk could not be brought from NVMe: %s; this is a defect of the engine, please report it"
              .formatted(t),
          t);
      int count = Math.clamp(mailbox.acquire(Mailbox.COUNT), 0, mailbox.capacity());
      for (int request = 0; request < count; request++) {
        mailbox.release(Mailbox.requestWord(request, STATUS_WORD), Mailbox.FAILED);
      }
      mailbox.release(Mailbox.SERVED, number);
    }
    return number;
  }

  private void group(int number) {
    int count = mailbox.acquire(Mailbox.COUNT);
    if (count < 0 || count > mailbox.capacity()) {
      throw new IllegalStateException(
          "the device announced %d requests, the mailbox has room for %d"
              .formatted(count, mailbox.capacity()));
    }
    round.begin(number);
    for (int request = 0; request < count; request++) {
      add(request);
    }
    live = true;
    expiresAt = round.askedAt + patienceNanos;
    io.reads().submit(round);
  }

  private void add(int request) {
    int layer = mailbox.acquire(Mailbox.requestWord(request, 0));
    int seat = mailbox.acquire(Mailbox.requestWord(request, 1));
    int kvHead = mailbox.acquire(Mailbox.requestWord(request, 2));
    int chunk = mailbox.acquire(Mailbox.requestWord(request, 3));
    int transit = mailbox.acquire(Mailbox.requestWord(request, 4));
    if (outside(layer, space.layers())
        || outside(seat, space.seats())
        || outside(kvHead, space.kvHeads())
        || outside(chunk, maxChunks)
        || outside(transit, mailbox.capacity())) {
      refuse(
          request,
          seat,
          "the device asked for chunk %d of layer %d, KV head %d, seat %d at transit index %d, which does not exist; this is a defect of the engine, please report it"
              .formatted(chunk, layer, kvHead, seat, transit));
      return;
    }
    int extent = space.index(layer, seat, kvHead, chunk / layout.extentChunks());
    int slot = extents.slot(extent);
    if (slot < 0) {
      refuse(
          request,
          seat,
          "the device asked NVMe for chunk %d of layer %d, KV head %d, which was never written there; this is a defect of the engine, please report it"
              .formatted(chunk, layer, kvHead));
      return;
    }
    String failure = io.health().failure();
    if (failure != null) {
      refuse(request, seat, failure);
      return;
    }
    if (losses.lost(seat)) {
      // Its step is lost; what it would need next is brought meanwhile.
      mailbox.release(Mailbox.requestWord(request, STATUS_WORD), Mailbox.FAILED);
      if (wanted < wantedExtents.length) {
        wantedExtents[wanted++] = extent;
      }
      return;
    }
    round.chunk[request] = chunk;
    round.transit[request] = transit;
    if (!round.join(request, extent)) {
      ReadJob job = job(extent);
      if (reserved > 0) {
        job.frame = reserve[--reserved];
      }
      round.add(request, job);
    }
  }

  private ReadJob job(int extent) {
    return ReadJob.of(extent, extents, slots, System.nanoTime() + timeoutNanos);
  }

  private void refuse(int request, int seat, String message) {
    losses.fail(seat, message, null);
    mailbox.release(Mailbox.requestWord(request, STATUS_WORD), Mailbox.FAILED);
  }

  private static boolean outside(int value, int limit) {
    return value < 0 || value >= limit;
  }

  /** Takes over what the current round brought; what is late is no concern of it any more. */
  private void finishRound() {
    if (!live) {
      return;
    }
    live = false;
    io.reads().cancel(round);
    servingNanos += round.servedAt - round.askedAt;
    for (ReadJob job : round.jobs) {
      if (job.late) {
        continue;
      }
      if (job.failure != null) {
        if (job.frame != ReadJob.NO_FRAME) {
          reserve[reserved++] = job.frame;
        }
      } else if (job.frame != ReadJob.NO_FRAME) {
        promotedExtents[promoted] = job.extent;
        promotedFrames[promoted++] = job.frame;
      } else if (missed < missedExtents.length) {
        missedExtents[missed++] = job.extent;
      }
    }
  }
}

package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.plan.KvLayout;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Answers the mailbox while a step is armed. One thread notices a round, groups its requests by
 * extent and hands them to the I/O threads. It never touches the disk itself: a read that does not
 * end must not keep it from the next step's rounds.
 *
 * <p>A device that rings the doorbell is not polled once it has rung for the first time; for one
 * that does not, the thread spins for a short while and then naps between looks, and only while a
 * step is armed.
 *
 * <p>Between {@link #arm} and {@link #disarm} the engine thread leaves the extent tables alone;
 * both take the lock under which a round is grouped, so the thread never sees a table that changes.
 */
final class MailboxReader implements AutoCloseable {
  private static final int SPINS = 2_000;
  private static final long NAP_NANOS = TimeUnit.MICROSECONDS.toNanos(20);
  private static final long RING_NAP_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
  private static final int STATUS_WORD = 5;
  private static final int MAX_MISSED = 1024;

  /** What the reader needs to know of an extent; answered from the engine thread's tables. */
  interface Extents {
    /** NVMe slot with a valid copy, or -1. */
    int slot(int extent);

    /** Checksum of the copy in a slot. */
    int checksum(int slot);

    /** Identity of the sequence in a seat. */
    long identity(int seat);
  }

  private final ExtentSpace space;
  private final KvLayout layout;
  private final int maxChunks;
  private final Extents extents;
  private final Thread thread;
  private volatile boolean stopped;
  private volatile boolean armed;
  private volatile boolean rings;

  // set before the thread starts
  private @Nullable Mailbox mailbox;
  private @Nullable NvmeIo io;

  // under this object's monitor
  private ReadRound current = new ReadRound();
  private boolean live;
  private int lastRound;
  private int[] reserve = {};
  private int reserved;
  private int[] promotedExtents = {};
  private int[] promotedFrames = {};
  private int promoted;
  private final int[] missedExtents = new int[MAX_MISSED];
  private int missed;

  MailboxReader(ExtentSpace space, KvLayout layout, int maxChunks, Extents extents) {
    this.space = space;
    this.layout = layout;
    this.maxChunks = maxChunks;
    this.extents = extents;
    thread = new Thread(this::run, "kvdrive-mailbox");
    thread.setDaemon(true);
  }

  /** For {@link Mailbox#doorbell}. */
  void ring() {
    rings = true;
    LockSupport.unpark(thread);
  }

  /** Begins. */
  void start(Mailbox served, NvmeIo servedBy) {
    mailbox = served;
    io = servedBy;
    thread.start();
  }

  // --- the engine thread's side ---

  /**
   * From here on rounds are served.
   *
   * @param frames free frames into which missed extents may be read, to stay there
   * @param count how many
   */
  synchronized void arm(int[] frames, int count) {
    if (reserve.length < count) {
      reserve = new int[count];
      promotedExtents = new int[count];
      promotedFrames = new int[count];
    }
    // First requests first: what is taken from the end was given last.
    for (int i = 0; i < count; i++) {
      reserve[i] = frames[count - 1 - i];
    }
    reserved = count;
    promoted = 0;
    missed = 0;
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
    finishCurrent();
    if (mailbox != null) {
      lastRound = mailbox.acquire(Mailbox.ROUND);
    }
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

  /** Extents read without a frame in the last step, the first {@value #MAX_MISSED} of them. */
  synchronized int missed() {
    return missed;
  }

  synchronized int missedExtent(int i) {
    return missedExtents[i];
  }

  /** Takes back a frame that was not used, or -1. */
  synchronized int takeReserved() {
    return reserved == 0 ? -1 : reserve[--reserved];
  }

  @Override
  public void close() {
    stopped = true;
    LockSupport.unpark(thread);
    NvmeIo.join(thread, System.nanoTime() + TimeUnit.SECONDS.toNanos(10));
  }

  boolean stuck() {
    return thread.isAlive();
  }

  // --- the thread ---

  private void run() {
    Mailbox box = Objects.requireNonNull(mailbox);
    NvmeIo threads = Objects.requireNonNull(io);
    int looks = 0;
    int seen = 0;
    while (!stopped) {
      if (!armed) {
        looks = 0;
        LockSupport.park(this);
      } else if (box.acquire(Mailbox.ROUND) != seen) {
        looks = 0;
        seen = group(box, threads);
      } else if (rings) {
        LockSupport.parkNanos(this, RING_NAP_NANOS);
      } else if (looks < SPINS) {
        looks++;
        Thread.onSpinWait();
      } else {
        LockSupport.parkNanos(this, NAP_NANOS);
      }
    }
  }

  /** Takes a round over if there is a new one; returns the last round looked at. */
  private synchronized int group(Mailbox box, NvmeIo threads) {
    int round = box.acquire(Mailbox.ROUND);
    if (!armed || round == lastRound) {
      return armed ? round : lastRound;
    }
    finishCurrent();
    lastRound = round;
    int count = box.acquire(Mailbox.COUNT);
    if (count < 0 || count > box.capacity()) {
      threads.fail(
          TierException.NO_SEAT,
          "the device announced %d requests, the mailbox has room for %d"
              .formatted(count, box.capacity()),
          null);
      return round;
    }
    current.begin(round, count);
    live = true;
    for (int request = 0; request < count; request++) {
      add(box, threads, request);
    }
    threads.submit(current);
    return round;
  }

  private void add(Mailbox box, NvmeIo threads, int request) {
    int layer = box.acquire(Mailbox.requestWord(request, 0));
    int seat = box.acquire(Mailbox.requestWord(request, 1));
    int kvHead = box.acquire(Mailbox.requestWord(request, 2));
    int chunk = box.acquire(Mailbox.requestWord(request, 3));
    int transit = box.acquire(Mailbox.requestWord(request, 4));
    if (outside(layer, space.layers())
        || outside(seat, space.seats())
        || outside(kvHead, space.kvHeads())
        || outside(chunk, maxChunks)
        || outside(transit, box.capacity())) {
      refuse(
          box,
          threads,
          request,
          seat,
          "the device asked for chunk %d of layer %d, KV head %d, seat %d at transit index %d, which does not exist"
              .formatted(chunk, layer, kvHead, seat, transit));
      return;
    }
    int extent = space.index(layer, seat, kvHead, chunk / layout.extentChunks());
    int slot = extents.slot(extent);
    if (slot < 0) {
      refuse(
          box,
          threads,
          request,
          seat,
          "the device asked NVMe for chunk %d of layer %d, KV head %d, which was never written there"
              .formatted(chunk, layer, kvHead));
      return;
    }
    current.chunk[request] = chunk;
    current.transit[request] = transit;
    int read = current.add(request, extent);
    if (current.isNew(read)) {
      current.slot[read] = slot;
      current.checksum[read] = extents.checksum(slot);
      current.identity[read] = extents.identity(seat);
      if (reserved > 0) {
        current.frame[read] = reserve[--reserved];
      }
    }
  }

  private static void refuse(Mailbox box, NvmeIo threads, int request, int seat, String message) {
    threads.fail(seat, message + "; this is a defect of the engine, please report it", null);
    box.release(Mailbox.requestWord(request, STATUS_WORD), Mailbox.FAILED);
  }

  private static boolean outside(int value, int limit) {
    return value < 0 || value >= limit;
  }

  /** Takes over what the current round brought into frames; a round that has not ended is left. */
  private void finishCurrent() {
    NvmeIo threads = io;
    if (!live || threads == null) {
      return;
    }
    live = false;
    threads.cancel(current);
    int reads = current.reads;
    boolean abandoned = false;
    for (int read = 0; read < reads; read++) {
      int frame = current.frame[read];
      switch (current.state[read]) {
        case DELIVERED -> {
          if (frame == ReadRound.NO_FRAME) {
            if (missed < missedExtents.length) {
              missedExtents[missed++] = current.extent[read];
            }
          } else {
            promotedExtents[promoted] = current.extent[read];
            promotedFrames[promoted++] = frame;
          }
        }
        case FAILED -> {
          if (frame != ReadRound.NO_FRAME) {
            reserve[reserved++] = frame;
          }
        }
        case WAITING, READING, DELIVERING -> abandoned = true;
      }
    }
    if (abandoned) {
      current = new ReadRound();
    }
  }
}

package dev.kvdrive.kv.tier;

import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.tier.NvmeHealth.Access;
import dev.kvdrive.kv.tier.ReadRound.State;
import dev.kvdrive.kv.tier.StepFaults.Reason;
import dev.kvdrive.plan.KvLayout;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The I/O threads of the NVMe tier. They serve mailbox rounds first and write demotions with what
 * is left, at most half of them at once, so that a step never waits for a queue of writes.
 *
 * <p>While the drive does not work ({@link #failure}), one of them tries now and then whether it
 * does again.
 *
 * <p>Everything shared lies under one lock, which is never held during I/O or copying. A round that
 * is cancelled delivers nothing more: {@link #cancel} returns once no thread copies into the
 * mailbox, however long its disk reads still take; their frames come back through {@link
 * #nextReturnedFrame}.
 */
final class NvmeIo implements AutoCloseable {
  private static final Logger LOG = System.getLogger(NvmeIo.class.getName());
  private static final int ATTEMPTS = 2;
  private static final long CLOSE_MILLIS = 3_000;
  private static final long LOG_INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final @Nullable ExtentFiles files;
  private final ExtentSpace space;
  private final KvLayout layout;
  private final MemorySegment frames;
  private final Mailbox mailbox;
  private final int maxWriting;
  private final List<Thread> threads = new ArrayList<>();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition work = lock.newCondition();
  private final Condition progress = lock.newCondition();
  private final ArrayDeque<WriteJob> writes = new ArrayDeque<>();
  private final ArrayDeque<WriteJob> written = new ArrayDeque<>();
  private final ArrayDeque<Integer> returnedFrames = new ArrayDeque<>();
  private final Map<Integer, Reason> reasons = new HashMap<>();
  private @Nullable ReadRound round;
  private int writing;
  private boolean stopped;
  private boolean abandoned;
  private final NvmeHealth health = new NvmeHealth();
  private long lastLogNanos = System.nanoTime() - LOG_INTERVAL_NANOS;

  private final LongAdder reads = new LongAdder();
  private final LongAdder writeCount = new LongAdder();
  private final LongAdder errors = new LongAdder();

  /**
   * @param buffers one aligned buffer of an extent for each thread
   */
  NvmeIo(
      @Nullable ExtentFiles files,
      ExtentSpace space,
      KvLayout layout,
      MemorySegment frames,
      Mailbox mailbox,
      int threadCount,
      HostBuffer buffers) {
    this.files = files;
    this.space = space;
    this.layout = layout;
    this.frames = frames;
    this.mailbox = mailbox;
    maxWriting = Math.max(1, threadCount / 2);
    for (int i = 0; i < threadCount; i++) {
      Worker worker = new Worker(slice(buffers.segment(), i));
      Thread thread = new Thread(() -> run(worker), "kvdrive-nvme-" + i);
      thread.setDaemon(true);
      threads.add(thread);
      thread.start();
    }
  }

  long reads() {
    return reads.sum();
  }

  long writes() {
    return writeCount.sum();
  }

  long errors() {
    return errors.sum();
  }

  /** Why the drive does not work, for anybody to read; null while it does. */
  @Nullable String failure() {
    return health.failure();
  }

  /** What one thread reads with. */
  static final class Worker {
    private final MemorySegment segment;
    private final ExtentChecksum checksum = new ExtentChecksum();

    private Worker(MemorySegment segment) {
      this.segment = segment;
    }
  }

  // --- the reader's side ---

  /** Lets the I/O threads serve a round, which no one else has. */
  void submit(ReadRound submitted) {
    lock.lock();
    try {
      if (submitted.reads == 0) {
        finishRound(submitted);
        return;
      }
      if (abandoned) {
        abandon(submitted);
        return;
      }
      round = submitted;
      work.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * From now on nobody waits for the disk: what has not come of the round under way fails now,
   * later rounds at once, and no write is waited for. Any thread.
   */
  void abandon() {
    lock.lock();
    try {
      abandoned = true;
      if (round != null) {
        abandon(round);
      }
      progress.signalAll();
    } finally {
      lock.unlock();
    }
  }

  boolean abandoned() {
    lock.lock();
    try {
      return abandoned;
    } finally {
      lock.unlock();
    }
  }

  /** Fails what has not come; a thread that delivers at this moment ends the round itself. */
  private void abandon(ReadRound given) {
    given.cancelled = true;
    round = null;
    for (int read = 0; read < given.reads; read++) {
      State state = given.state[read];
      if (state == State.WAITING || state == State.READING) {
        given.remaining--;
        for (int request = given.firstRequest(read);
            request >= 0;
            request = given.nextRequest(request)) {
          mailbox.release(Mailbox.requestWord(request, 5), Mailbox.FAILED);
        }
        reasons.putIfAbsent(
            space.seat(given.extent[read]), new Reason("the engine is shutting down", null));
        if (state == State.WAITING) {
          returnFrame(given, read);
        }
      }
    }
    if (given.remaining == 0) {
      finishRound(given);
    }
  }

  /** Notes why a seat does not get a chunk. */
  void fail(int seat, String message, @Nullable Throwable cause) {
    lock.lock();
    try {
      reasons.putIfAbsent(seat, new Reason(message, cause));
    } finally {
      lock.unlock();
    }
  }

  // --- the engine thread's side ---

  /** Queues a write. */
  void submit(WriteJob job) {
    lock.lock();
    try {
      writes.add(job);
      work.signal();
    } finally {
      lock.unlock();
    }
  }

  /**
   * The next write that has ended.
   *
   * @param waitNanos how long to wait for one
   * @return null if there is none
   */
  @Nullable WriteJob nextWritten(long waitNanos) {
    lock.lock();
    try {
      long left = waitNanos;
      while (written.isEmpty() && returnedFrames.isEmpty() && left > 0 && !abandoned) {
        left = awaitProgress(left);
      }
      return written.poll();
    } finally {
      lock.unlock();
    }
  }

  /** The next frame that a cancelled read no longer fills, or -1. */
  int nextReturnedFrame() {
    lock.lock();
    try {
      Integer frame = returnedFrames.poll();
      return frame == null ? -1 : frame;
    } finally {
      lock.unlock();
    }
  }

  /** Reasons noted since the last call. */
  Map<Integer, Reason> takeReasons() {
    lock.lock();
    try {
      if (reasons.isEmpty()) {
        return Map.of();
      }
      Map<Integer, Reason> taken = Map.copyOf(reasons);
      reasons.clear();
      return taken;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends a round: when it returns, nothing of it reaches the mailbox any more. Frames of reads that
   * have not begun are returned at once, those of reads under way when they end. Notes a reason for
   * each seat that still waits.
   */
  void cancel(ReadRound cancelledRound) {
    lock.lock();
    try {
      cancelledRound.cancelled = true;
      if (round == cancelledRound) {
        round = null;
      }
      for (int read = 0; read < cancelledRound.reads; read++) {
        State state = cancelledRound.state[read];
        if (state == State.WAITING || state == State.READING) {
          int extent = cancelledRound.extent[read];
          reasons.putIfAbsent(
              space.seat(extent),
              new Reason(
                  "%s was not delivered from NVMe in time; the disk is overloaded or failing: try again later, or give DRAM more room"
                      .formatted(name(extent)),
                  null));
          note(health.unanswered(Access.READ));
          if (state == State.WAITING) {
            returnFrame(cancelledRound, read);
          }
        }
      }
      while (delivering(cancelledRound)) {
        awaitProgress(TimeUnit.MILLISECONDS.toNanos(100));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Notes that writes did not end in time; they may still. */
  void unanswered(int writesInFlight) {
    lock.lock();
    try {
      for (int i = 0; i < writesInFlight; i++) {
        note(health.unanswered(Access.WRITE));
      }
    } finally {
      lock.unlock();
    }
  }

  private static boolean delivering(ReadRound round) {
    for (int read = 0; read < round.reads; read++) {
      if (round.state[read] == State.DELIVERING) {
        return true;
      }
    }
    return false;
  }

  /** Stops the threads once their I/O in flight has ended, or a bounded time has passed. */
  @Override
  public void close() {
    lock.lock();
    try {
      stopped = true;
      work.signalAll();
    } finally {
      lock.unlock();
    }
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CLOSE_MILLIS);
    for (Thread thread : threads) {
      join(thread, deadline);
    }
  }

  /** Whether a thread is still inside the operating system with one of our buffers. */
  boolean stuck() {
    return threads.stream().anyMatch(Thread::isAlive);
  }

  static void join(Thread thread, long deadlineNanos) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      long millis = TimeUnit.NANOSECONDS.toMillis(deadlineNanos - System.nanoTime());
      if (millis <= 0) {
        break;
      }
      try {
        thread.join(millis);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  // --- the threads ---

  private void run(Worker worker) {
    while (true) {
      ReadRound current = null;
      WriteJob job = null;
      int read = -1;
      boolean probing = false;
      lock.lock();
      try {
        while (true) {
          if (stopped) {
            return;
          }
          current = round;
          read = current == null ? -1 : takeRead(current);
          if (read >= 0) {
            break;
          }
          if (writing < maxWriting && !writes.isEmpty()) {
            job = writes.poll();
            writing++;
            break;
          }
          long untilProbe = health.untilProbe();
          if (untilProbe <= 0) {
            health.probing();
            probing = true;
            break;
          }
          awaitWork(untilProbe);
        }
      } finally {
        lock.unlock();
      }
      if (probing) {
        probe();
      } else if (job != null) {
        write(worker, job);
      } else if (current != null) {
        read(worker, current, read);
      }
    }
  }

  @SuppressWarnings("WaitNotInLoop") // the caller loops over what it waits for
  private void awaitWork(long atMostNanos) {
    if (atMostNanos == Long.MAX_VALUE) {
      work.awaitUninterruptibly();
      return;
    }
    try {
      long left = work.awaitNanos(atMostNanos);
      assert left <= atMostNanos;
    } catch (InterruptedException e) {
      // Nobody interrupts these threads; if somebody does, it is no reason to stop.
      LOG.log(Level.DEBUG, "an I/O thread was interrupted", e);
    }
  }

  /** Tries whether the drive works again. */
  private void probe() {
    String refusal = files().probe();
    lock.lock();
    try {
      health.probed(refusal);
      if (refusal == null) {
        LOG.log(Level.INFO, "the NVMe tier works again: a block that was written came back");
      }
    } finally {
      lock.unlock();
    }
  }

  /** Says under the lock that the drive does not work any more, if that is so. */
  private void note(boolean brokeDown) {
    if (brokeDown) {
      LOG.log(
          Level.ERROR,
          "{0}; requests that need it fail until a block that is written comes back",
          health.failure());
      work.signalAll(); // somebody has to wait for the probe
    }
  }

  private static int takeRead(ReadRound current) {
    if (current.cancelled || current.nextRead == current.reads) {
      return -1;
    }
    int read = current.nextRead++;
    current.state[read] = State.READING;
    return read;
  }

  private void read(Worker worker, ReadRound current, int read) {
    int extent = current.extent[read];
    int slot = current.slot[read];
    int frame = current.frame[read];
    MemorySegment target = frame == ReadRound.NO_FRAME ? worker.segment : slice(frames, frame);
    Throwable failure = null;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      failure = tryRead(worker, current, read, target);
      if (failure == null) {
        break;
      }
      errors.increment();
    }
    if (failure == null) {
      reads.increment();
    }
    lock.lock();
    try {
      note(Access.READ, failure);
      if (current.cancelled) {
        returnFrame(current, read);
        progress.signalAll();
        return;
      }
      current.state[read] = State.DELIVERING;
    } finally {
      lock.unlock();
    }
    for (int request = current.firstRequest(read);
        request >= 0;
        request = current.nextRequest(request)) {
      if (failure == null) {
        deliver(current, request, target);
      } else {
        mailbox.release(Mailbox.requestWord(request, 5), Mailbox.FAILED);
      }
    }
    lock.lock();
    try {
      current.state[read] = failure == null ? State.DELIVERED : State.FAILED;
      if (failure != null) {
        String message =
            "%s could not be read from NVMe: %s; its sequence cannot go on. Send the request again; if this repeats, check the disk"
                .formatted(name(extent), ExtentFiles.reason(failure));
        reasons.putIfAbsent(space.seat(extent), new Reason(message, failure));
        log("%s (%s)".formatted(message, files().where(slot)), failure);
      }
      if (--current.remaining == 0) {
        finishRound(current);
      }
      progress.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void note(Access access, @Nullable Throwable failure) {
    if (failure == null) {
      health.succeeded(access);
    } else {
      note(health.failed(access, ExtentFiles.reason(failure)));
    }
  }

  private @Nullable Throwable tryRead(
      Worker worker, ReadRound current, int read, MemorySegment target) {
    try {
      ByteBuffer buffer = target.asByteBuffer();
      files().read(current.slot[read], buffer);
      buffer.rewind();
      int extent = current.extent[read];
      int seen =
          worker.checksum.of(
              current.identity[read],
              space.layer(extent),
              space.kvHead(extent),
              space.extent(extent),
              buffer);
      if (seen != current.checksum[read]) {
        return new IOException(
            "checksum mismatch: %08x was written, %08x read"
                .formatted(current.checksum[read], seen));
      }
      return null;
    } catch (IOException | RuntimeException | Error e) {
      return e;
    }
  }

  private void deliver(ReadRound current, int request, MemorySegment extentBytes) {
    long chunkBytes = layout.chunkBytes();
    MemorySegment.copy(
        extentBytes,
        current.chunk[request] % layout.extentChunks() * chunkBytes,
        mailbox.transit().segment(),
        current.transit[request] * chunkBytes,
        chunkBytes);
    mailbox.release(Mailbox.requestWord(request, 5), Mailbox.DELIVERED);
  }

  private void finishRound(ReadRound finished) {
    if (round == finished) {
      round = null;
    }
    mailbox.release(Mailbox.SERVED, finished.round);
  }

  private void write(Worker worker, WriteJob job) {
    MemorySegment source = slice(frames, job.frame);
    Throwable failure = null;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      failure = tryWrite(worker, job, source);
      if (failure == null) {
        break;
      }
      errors.increment();
    }
    if (failure == null) {
      writeCount.increment();
    }
    job.failure = failure;
    lock.lock();
    try {
      note(Access.WRITE, failure);
      if (failure != null) {
        log(
            "%s could not be written to %s: %s; it stays in DRAM"
                .formatted(name(job.extent), files().where(job.slot), ExtentFiles.reason(failure)),
            failure);
      }
      writing--;
      written.add(job);
      if (!writes.isEmpty()) {
        work.signal();
      }
      progress.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private @Nullable Throwable tryWrite(Worker worker, WriteJob job, MemorySegment source) {
    try {
      ByteBuffer buffer = source.asByteBuffer();
      job.checksum =
          worker.checksum.of(
              job.identity,
              space.layer(job.extent),
              space.kvHead(job.extent),
              space.extent(job.extent),
              buffer);
      files().write(job.slot, buffer);
      return null;
    } catch (IOException | RuntimeException | Error e) {
      return e;
    }
  }

  private void returnFrame(ReadRound current, int read) {
    if (current.frame[read] != ReadRound.NO_FRAME) {
      returnedFrames.add(current.frame[read]);
      current.frame[read] = ReadRound.NO_FRAME;
    }
  }

  @SuppressWarnings("WaitNotInLoop") // every caller loops over what it waits for
  private long awaitProgress(long nanos) {
    long until = System.nanoTime() + nanos;
    boolean interrupted = Thread.interrupted();
    try {
      progress.awaitNanos(nanos);
    } catch (InterruptedException e) {
      interrupted = true;
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return until - System.nanoTime();
  }

  private void log(String message, Throwable cause) {
    long now = System.nanoTime();
    if (now - lastLogNanos >= LOG_INTERVAL_NANOS) {
      lastLogNanos = now;
      LOG.log(Level.WARNING, message, cause);
    }
  }

  private ExtentFiles files() {
    return Objects.requireNonNull(files, "there is no NVMe tier");
  }

  private String name(int extent) {
    return "extent %d of layer %d, KV head %d"
        .formatted(space.extent(extent), space.layer(extent), space.kvHead(extent));
  }

  private MemorySegment slice(MemorySegment memory, int index) {
    return memory.asSlice((long) index * layout.extentBytes(), layout.extentBytes());
  }
}

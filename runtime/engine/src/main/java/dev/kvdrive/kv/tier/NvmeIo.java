package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.tier.NvmeHealth.Access;
import dev.kvdrive.kv.tier.ReadJob.State;
import dev.kvdrive.kv.tier.StepFaults.Reason;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What the I/O threads of the NVMe tier have to do and have done: the reads of a mailbox round
 * first, then those that sequences wait for outside a step, and writes with what is left, at most
 * half of the threads at once, so that a step never waits for a queue of writes.
 *
 * <p>A round ends when its reads have, or when it {@link #expire expires}: then what has not come
 * is answered with a failure, its sequence is <i>late</i>, and its reads go on without the round;
 * what they bring comes through {@link #nextLate}. So a read that takes long keeps a step waiting
 * no longer than its round may last, however long it takes.
 *
 * <p>While the drive does not work ({@link #failure}), a thread tries now and then whether it does
 * again.
 *
 * <p>Everything shared lies under one lock, which is never held during I/O or copying.
 */
final class NvmeIo implements AutoCloseable {
  private static final Logger LOG = System.getLogger(NvmeIo.class.getName());
  private static final long CLOSE_MILLIS = 3_000;
  private static final long LOG_INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** How long a copy into the mailbox can take before something is broken for good. */
  private static final long COPY_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final ExtentSpace space;
  private final Mailbox mailbox;
  private final StepLosses losses;
  private final Runnable onProgress;
  private final List<IoThread> threads = new ArrayList<>();
  private int maxWriting;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition work = lock.newCondition();
  private final Condition progress = lock.newCondition();
  private final ArrayDeque<WriteJob> writes = new ArrayDeque<>();
  private final ArrayDeque<WriteJob> written = new ArrayDeque<>();

  /** Late reads that no thread has begun. */
  private final ArrayDeque<ReadJob> lateReads = new ArrayDeque<>();

  /** Late reads that have ended. */
  private final ArrayDeque<ReadJob> ended = new ArrayDeque<>();

  /** All that is queued or under way, to see what is overdue. */
  private final Set<ReadJob> reading = new HashSet<>();

  private final Set<WriteJob> writingOrQueued = new HashSet<>();

  private @Nullable ReadRound round;
  private int writing;
  private boolean stopped;
  private boolean abandoned;
  private final NvmeHealth health = new NvmeHealth();
  private volatile @Nullable String broken;
  private long lastLogNanos = System.nanoTime() - LOG_INTERVAL_NANOS;

  private final LongAdder reads = new LongAdder();
  private final LongAdder writeCount = new LongAdder();
  private final LongAdder errors = new LongAdder();

  /**
   * @param onProgress run by an I/O thread, without a lock, when something has ended that the
   *     engine thread may wait for outside a step
   */
  NvmeIo(ExtentSpace space, Mailbox mailbox, StepLosses losses, Runnable onProgress) {
    this.space = space;
    this.mailbox = mailbox;
    this.losses = losses;
    this.onProgress = onProgress;
  }

  /** Starts the threads. */
  void start(List<IoThread> workers) {
    threads.addAll(workers);
    maxWriting = Math.max(1, workers.size() / 2);
    workers.forEach(IoThread::start);
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

  void countError() {
    errors.increment();
  }

  /** Why the drive does not work, for anybody to read; null while it does. */
  @Nullable String failure() {
    return health.failure();
  }

  /** Why the tier cannot go on in this process, or null: one of its threads has ended. */
  @Nullable String broken() {
    return broken;
  }

  // --- the reader's side ---

  /** Lets the I/O threads serve a round, which no one else has. */
  void submit(ReadRound submitted) {
    lock.lock();
    try {
      round = submitted;
      reading.addAll(submitted.jobs);
      if (submitted.remaining == 0) {
        finish(submitted);
      } else if (abandoned) {
        abandon(submitted);
      } else {
        work.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Answers what has not come of a round. Its sequences are late; reads with a frame go on, those
   * without one that nobody has begun do not.
   */
  void expire(ReadRound expired) {
    lock.lock();
    try {
      if (round != expired) {
        return;
      }
      for (ReadJob job : expired.jobs) {
        if (job.state == State.WAITING || job.state == State.READING) {
          losses.late(job.seat);
          makeLate(expired, job);
        }
      }
      if (expired.remaining == 0) {
        finish(expired);
      }
      work.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void makeLate(ReadRound of, ReadJob job) {
    answer(of, job, Mailbox.FAILED);
    of.remaining--;
    job.late = true;
    if (job.state == State.WAITING) {
      if (job.frame == ReadJob.NO_FRAME) {
        end(job);
      } else {
        lateReads.add(job);
      }
    }
  }

  private void answer(ReadRound of, ReadJob job, int status) {
    for (int request = job.firstRequest; request >= 0; request = of.nextRequest(request)) {
      mailbox.release(Mailbox.requestWord(request, 5), status);
    }
  }

  /** A late read has ended. */
  private void end(ReadJob job) {
    job.state = State.ENDED;
    reading.remove(job);
    ended.add(job);
    progress.signalAll();
  }

  private void finish(ReadRound finished) {
    if (round == finished) {
      round = null;
    }
    mailbox.release(Mailbox.SERVED, finished.number);
  }

  /**
   * From now on nobody waits for the disk: what has not come of the round under way fails now,
   * later rounds at once. Any thread.
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
    onProgress.run();
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
    for (ReadJob job : given.jobs) {
      if (job.state == State.WAITING || job.state == State.READING) {
        losses.fail(job.seat, TierException.SHUTTING_DOWN, null);
        makeLate(given, job);
      }
    }
    if (given.remaining == 0) {
      finish(given);
    }
  }

  // --- the engine thread's side ---

  /** Queues a write. */
  void submit(WriteJob job) {
    lock.lock();
    try {
      writes.add(job);
      writingOrQueued.add(job);
      work.signal();
    } finally {
      lock.unlock();
    }
  }

  /** Queues a read that a sequence waits for outside a step; it has a frame. */
  void submit(ReadJob job) {
    lock.lock();
    try {
      job.late = true;
      reading.add(job);
      lateReads.add(job);
      work.signal();
    } finally {
      lock.unlock();
    }
  }

  /** The next write that has ended, or null. */
  @Nullable WriteJob nextWritten() {
    lock.lock();
    try {
      return written.poll();
    } finally {
      lock.unlock();
    }
  }

  /** The next late read that has ended, or null. */
  @Nullable ReadJob nextLate() {
    lock.lock();
    try {
      return ended.poll();
    } finally {
      lock.unlock();
    }
  }

  /** Waits until something has ended that {@link #nextWritten} or {@link #nextLate} has. */
  void awaitProgress(long nanos) {
    lock.lock();
    try {
      long left = nanos;
      while (written.isEmpty() && ended.isEmpty() && left > 0 && !abandoned) {
        left = await(progress, left);
      }
    } finally {
      lock.unlock();
    }
  }

  /** The sequence of a seat has gone: what was read for it is of no use. */
  void forget(int seat) {
    lock.lock();
    try {
      for (ReadJob job : reading) {
        job.orphan |= job.seat == seat;
      }
      for (ReadJob job : ended) {
        job.orphan |= job.seat == seat;
      }
      for (Iterator<ReadJob> i = lateReads.iterator(); i.hasNext(); ) {
        ReadJob job = i.next();
        if (job.orphan) {
          i.remove();
          end(job);
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends a round: when it returns, nothing of it reaches the mailbox any more.
   *
   * @throws IllegalStateException if a copy into the mailbox does not end: the engine cannot go on
   */
  void cancel(ReadRound cancelled) {
    expire(cancelled);
    lock.lock();
    try {
      long left = COPY_NANOS;
      while (cancelled.jobs.stream().anyMatch(job -> job.state == State.DELIVERING)) {
        if (left <= 0) {
          throw new IllegalStateException(
              "a thread of the NVMe tier has been copying a chunk for %d s: restart the engine"
                  .formatted(TimeUnit.NANOSECONDS.toSeconds(COPY_NANOS)));
        }
        left = await(progress, left);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Counts a read that was not even begun in time. */
  void unanswered() {
    lock.lock();
    try {
      note(health.unanswered(Access.READ));
    } finally {
      lock.unlock();
    }
  }

  /** Counts what should have ended by now and has not, each access once. */
  void noteOverdue() {
    boolean brokeDown = false;
    lock.lock();
    try {
      long now = System.nanoTime();
      for (ReadJob job : reading) {
        if (!job.overdue && job.state != State.DELIVERING && now - job.deadline > 0) {
          job.overdue = true;
          brokeDown |= note(health.unanswered(Access.READ));
        }
      }
      for (WriteJob job : writingOrQueued) {
        if (!job.overdue && now - job.deadline > 0) {
          job.overdue = true;
          brokeDown |= note(health.unanswered(Access.WRITE));
        }
      }
    } finally {
      lock.unlock();
    }
    if (brokeDown) {
      onProgress.run();
    }
  }

  /** Whether a late read of a seat has not ended. */
  boolean outstanding(int seat) {
    lock.lock();
    try {
      return reading.stream().anyMatch(job -> job.seat == seat && !job.orphan);
    } finally {
      lock.unlock();
    }
  }

  /** An extent of a seat whose read should have ended by now and has not, or -1. */
  int overdue(int seat) {
    lock.lock();
    try {
      for (ReadJob job : reading) {
        if (job.seat == seat && job.overdue && !job.orphan) {
          return job.extent;
        }
      }
      return -1;
    } finally {
      lock.unlock();
    }
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
    for (IoThread thread : threads) {
      thread.join(deadline);
    }
  }

  /** Whether a thread is still inside the operating system with one of our buffers. */
  boolean stuck() {
    return threads.stream().anyMatch(IoThread::isAlive);
  }

  // --- the threads' side ---

  /** What a thread does next; one of the three, or a probe if none is there. */
  record Task(@Nullable ReadRound round, @Nullable ReadJob read, @Nullable WriteJob write) {
    private static final Task PROBE = new Task(null, null, null);
  }

  /** The next task, waited for; null if the thread is to end. */
  @Nullable Task next() {
    lock.lock();
    try {
      while (true) {
        if (stopped) {
          return null;
        }
        ReadRound current = round;
        ReadJob read = current == null ? lateReads.poll() : take(current);
        if (read != null) {
          read.state = State.READING;
          return new Task(read.late ? null : current, read, null);
        }
        if (writing < maxWriting && !writes.isEmpty()) {
          writing++;
          return new Task(null, null, writes.poll());
        }
        long untilProbe = health.untilProbe();
        if (untilProbe <= 0) {
          health.probing();
          return Task.PROBE;
        }
        await(work, untilProbe);
      }
    } finally {
      lock.unlock();
    }
  }

  private @Nullable ReadJob take(ReadRound current) {
    while (current.taken < current.jobs.size()) {
      ReadJob job = current.jobs.get(current.taken++);
      if (job.state == State.WAITING) {
        return job;
      }
    }
    return lateReads.poll();
  }

  /**
   * A read has ended; if its requests still wait, they are to be delivered next, or failed,
   * followed by {@link #delivered}.
   *
   * @return whether they wait
   */
  boolean hasRead(ReadJob job, @Nullable Throwable failure) {
    if (failure == null) {
      reads.increment();
    }
    boolean wait;
    lock.lock();
    try {
      note(Access.READ, failure);
      job.failure = failure;
      job.read = failure == null;
      wait = !job.late;
      if (wait) {
        job.state = State.DELIVERING;
      } else {
        end(job);
      }
    } finally {
      lock.unlock();
    }
    if (!wait) {
      onProgress.run();
    }
    return wait;
  }

  /** The requests of a job that had waited are answered. */
  void delivered(ReadRound of, ReadJob job, @Nullable Reason reason) {
    lock.lock();
    try {
      job.state = State.ENDED;
      reading.remove(job);
      if (reason != null) {
        losses.fail(job.seat, reason);
      }
      if (--of.remaining == 0) {
        finish(of);
      }
      progress.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** A write has ended. */
  void hasWritten(WriteJob job, @Nullable Throwable failure) {
    if (failure == null) {
      writeCount.increment();
    }
    lock.lock();
    try {
      note(Access.WRITE, failure);
      endWrite(job, failure);
    } finally {
      lock.unlock();
    }
    onProgress.run();
  }

  private void endWrite(WriteJob job, @Nullable Throwable failure) {
    job.failure = failure;
    writing--;
    writingOrQueued.remove(job);
    written.add(job);
    if (!writes.isEmpty()) {
      work.signal();
    }
    progress.signalAll();
  }

  /** A probe has ended. */
  void probed(@Nullable String refusal) {
    lock.lock();
    try {
      health.probed(refusal);
      if (refusal == null) {
        LOG.log(Level.INFO, "the NVMe tier works again: a block that was written came back");
      }
    } finally {
      lock.unlock();
    }
    onProgress.run();
  }

  /** A thread could not end its task in the ordinary way: whoever waits for it is told. */
  void failed(Task task, Throwable failure) {
    LOG.log(Level.ERROR, "a task of the NVMe tier failed in an unexpected way", failure);
    lock.lock();
    try {
      ReadJob read = task.read();
      ReadRound of = task.round();
      if (read != null && read.state != State.ENDED) {
        read.failure = failure;
        if (read.late || of == null) {
          end(read);
        } else {
          answer(of, read, Mailbox.FAILED);
          read.state = State.ENDED;
          reading.remove(read);
          losses.fail(
              read.seat,
              Reason.unreadable(space.name(read.extent), failure.getClass().getName(), failure));
          if (--of.remaining == 0) {
            finish(of);
          }
        }
      }
      WriteJob write = task.write();
      if (write != null && writingOrQueued.contains(write)) {
        endWrite(write, failure);
      }
      if (read == null && write == null) {
        health.probed(failure.getClass().getName());
      }
      progress.signalAll();
    } finally {
      lock.unlock();
    }
    onProgress.run();
  }

  /** A thread has ended although it should not have. */
  void died(String thread, Throwable cause) {
    String message = "the thread %s of the NVMe tier has ended: %s".formatted(thread, cause);
    broken = message;
    LOG.log(Level.ERROR, message + "; the engine must be restarted", cause);
  }

  /** Logs an I/O error, now and then. */
  void log(String message, Throwable cause) {
    lock.lock();
    try {
      long now = System.nanoTime();
      if (now - lastLogNanos < LOG_INTERVAL_NANOS) {
        return;
      }
      lastLogNanos = now;
    } finally {
      lock.unlock();
    }
    LOG.log(Level.WARNING, message, cause);
  }

  private void note(Access access, @Nullable Throwable failure) {
    if (failure == null) {
      health.succeeded(access);
    } else {
      note(health.failed(access, ExtentFiles.reason(failure)));
    }
  }

  /** Says under the lock that the drive does not work any more, if that is so. */
  private boolean note(boolean brokeDown) {
    if (brokeDown) {
      LOG.log(
          Level.ERROR,
          "{0}; requests that need it fail until a block that is written comes back",
          health.failure());
      work.signalAll(); // somebody has to wait for the probe
    }
    return brokeDown;
  }

  @SuppressWarnings("WaitNotInLoop") // every caller loops over what it waits for
  private static long await(Condition condition, long atMostNanos) {
    if (atMostNanos == Long.MAX_VALUE) {
      condition.awaitUninterruptibly();
      return atMostNanos;
    }
    long until = System.nanoTime() + atMostNanos;
    boolean interrupted = Thread.interrupted();
    try {
      long left = condition.awaitNanos(atMostNanos);
      assert left <= atMostNanos;
    } catch (InterruptedException e) {
      interrupted = true;
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return until - System.nanoTime();
  }
}

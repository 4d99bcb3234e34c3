package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.tier.NvmeHealth.Access;
import dev.kvdrive.kv.tier.ReadJob.State;
import dev.kvdrive.kv.tier.StepFaults.Reason;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The reads of the NVMe tier: those of a mailbox round first, then those that sequences wait for
 * outside a step.
 *
 * <p>A round ends when its reads have, or when it {@link #expire expires}: then what has not come
 * is answered with a failure, its sequence is <i>late</i>, and its reads go on without the round;
 * what they bring comes through {@link #nextEnded}. So a read that takes long keeps a step waiting
 * no longer than its round may last, however long it takes.
 *
 * <p>Thread-safe.
 */
final class ReadQueue {
  /** How long a copy into the mailbox can take before something is broken for good. */
  private static final long COPY_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final IoSignals signals;
  private final NvmeHealth health;
  private final ExtentSpace space;
  private final Mailbox mailbox;
  private final StepLosses losses;

  // under the lock of the signals

  /** Late reads that no thread has begun. */
  private final ArrayDeque<ReadJob> late = new ArrayDeque<>();

  /** Late reads that have ended. */
  private final ArrayDeque<ReadJob> ended = new ArrayDeque<>();

  /** All that is queued or under way, to see what is overdue. */
  private final Set<ReadJob> open = new HashSet<>();

  private @Nullable ReadRound round;
  private boolean abandoned;

  ReadQueue(
      IoSignals signals, NvmeHealth health, ExtentSpace space, Mailbox mailbox, StepLosses losses) {
    this.signals = signals;
    this.health = health;
    this.space = space;
    this.mailbox = mailbox;
    this.losses = losses;
  }

  // --- rounds ---

  /** Lets the I/O threads serve a round, which no one else has. */
  void submit(ReadRound submitted) {
    signals.lock();
    try {
      round = submitted;
      open.addAll(submitted.jobs);
      if (submitted.remaining == 0) {
        finish(submitted);
      } else if (abandoned) {
        abandon(submitted);
      } else {
        signals.allWork();
      }
    } finally {
      signals.unlock();
    }
  }

  /**
   * Answers what has not come of a round. Its sequences are late; reads with a frame go on, those
   * without one that nobody has begun do not.
   */
  void expire(ReadRound expired) {
    signals.lock();
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
      signals.allWork();
    } finally {
      signals.unlock();
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
        late.add(job);
      }
    }
  }

  private void answer(ReadRound of, ReadJob job, int status) {
    for (int request = job.firstRequest; request >= 0; request = of.nextRequest(request)) {
      mailbox.release(Mailbox.requestWord(request, 5), status);
    }
  }

  private void finish(ReadRound finished) {
    if (round == finished) {
      round = null;
    }
    finished.servedAt = System.nanoTime();
    mailbox.release(Mailbox.SERVED, finished.number);
  }

  /**
   * Ends a round: when it returns, nothing of it reaches the mailbox any more.
   *
   * @throws IllegalStateException if a copy into the mailbox does not end: the engine cannot go on
   */
  void cancel(ReadRound cancelled) {
    expire(cancelled);
    signals.lock();
    try {
      long left = COPY_NANOS;
      while (cancelled.jobs.stream().anyMatch(job -> job.state == State.DELIVERING)) {
        if (left <= 0) {
          throw new IllegalStateException(
              "a thread of the NVMe tier has been copying a chunk for %d s: restart the engine"
                  .formatted(TimeUnit.NANOSECONDS.toSeconds(COPY_NANOS)));
        }
        left = signals.awaitProgress(left);
      }
    } finally {
      signals.unlock();
    }
  }

  /**
   * From now on nobody waits for a read: what has not come of the round under way fails now, later
   * rounds at once. Any thread.
   */
  void abandon() {
    signals.lock();
    try {
      abandoned = true;
      if (round != null) {
        abandon(round);
      }
      signals.progress();
    } finally {
      signals.unlock();
    }
    signals.announce();
  }

  boolean abandoned() {
    signals.lock();
    try {
      return abandoned;
    } finally {
      signals.unlock();
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

  // --- late reads, the engine thread's side ---

  /** Queues a read that a sequence waits for outside a step; it has a frame. */
  void submit(ReadJob job) {
    signals.lock();
    try {
      job.late = true;
      open.add(job);
      late.add(job);
      signals.work();
    } finally {
      signals.unlock();
    }
  }

  /** The next late read that has ended, or null. */
  @Nullable ReadJob nextEnded() {
    signals.lock();
    try {
      return ended.poll();
    } finally {
      signals.unlock();
    }
  }

  /** Under the lock: whether {@link #nextEnded} has one. */
  boolean hasEnded() {
    return !ended.isEmpty();
  }

  /** The sequence of a seat has gone: what was read for it is of no use. */
  void forget(int seat) {
    signals.lock();
    try {
      for (ReadJob job : open) {
        job.orphan |= job.seat == seat;
      }
      for (ReadJob job : ended) {
        job.orphan |= job.seat == seat;
      }
      for (Iterator<ReadJob> i = late.iterator(); i.hasNext(); ) {
        ReadJob job = i.next();
        if (job.orphan) {
          i.remove();
          end(job);
        }
      }
    } finally {
      signals.unlock();
    }
  }

  /** Whether a late read of a seat has not ended. */
  boolean outstanding(int seat) {
    signals.lock();
    try {
      return open.stream().anyMatch(job -> job.seat == seat && !job.orphan);
    } finally {
      signals.unlock();
    }
  }

  /** An extent of a seat whose read should have ended by now and has not, or -1. */
  int overdue(int seat) {
    signals.lock();
    try {
      for (ReadJob job : open) {
        if (job.seat == seat && job.overdue && !job.orphan) {
          return job.extent;
        }
      }
      return -1;
    } finally {
      signals.unlock();
    }
  }

  /** Under the lock: counts what should have ended by now, once; whether the drive broke by it. */
  boolean noteOverdue(long now) {
    if (open.isEmpty()) {
      return false; // without an iterator: a step makes no objects
    }
    boolean brokeDown = false;
    for (ReadJob job : open) {
      if (!job.overdue && job.state != State.DELIVERING && now - job.deadline > 0) {
        job.overdue = true;
        brokeDown |= health.unanswered(Access.READ);
      }
    }
    return brokeDown;
  }

  // --- the threads' side ---

  /** Under the lock: the round under way. */
  @Nullable ReadRound round() {
    return round;
  }

  /** Under the lock: the next read, which is one of the round unless it is late; or null. */
  @Nullable ReadJob take() {
    ReadJob job = round == null ? null : take(round);
    job = job == null ? late.poll() : job;
    if (job != null) {
      job.state = State.READING;
    }
    return job;
  }

  private static @Nullable ReadJob take(ReadRound from) {
    while (from.taken < from.jobs.size()) {
      ReadJob job = from.jobs.get(from.taken++);
      if (job.state == State.WAITING) {
        return job;
      }
    }
    return null;
  }

  /**
   * A read has ended; if its requests still wait, they are to be delivered next, or failed,
   * followed by {@link #delivered}.
   *
   * @return whether they wait
   */
  boolean hasRead(ReadJob job, @Nullable Throwable failure) {
    boolean wait;
    signals.lock();
    try {
      health.note(Access.READ, failure);
      job.failure = failure;
      job.read = failure == null;
      wait = !job.late;
      if (wait) {
        job.state = State.DELIVERING;
      } else {
        end(job);
      }
    } finally {
      signals.unlock();
    }
    if (!wait) {
      signals.announce();
    }
    return wait;
  }

  /** The requests of a job that had waited are answered. */
  void delivered(ReadRound of, ReadJob job, @Nullable Reason reason) {
    signals.lock();
    try {
      endOfRound(of, job, reason);
    } finally {
      signals.unlock();
    }
  }

  /** A read could not be ended in the ordinary way. */
  void failed(@Nullable ReadRound of, ReadJob job, Throwable failure) {
    signals.lock();
    try {
      if (job.state != State.ENDED) {
        job.failure = failure;
        if (job.late || of == null) {
          end(job);
        } else {
          answer(of, job, Mailbox.FAILED);
          endOfRound(
              of,
              job,
              Reason.unreadable(space.name(job.extent), failure.getClass().getName(), failure));
        }
      }
    } finally {
      signals.unlock();
    }
    signals.announce();
  }

  /** A late read has ended. */
  private void end(ReadJob job) {
    job.end();
    open.remove(job);
    ended.add(job);
    signals.progress();
  }

  private void endOfRound(ReadRound of, ReadJob job, @Nullable Reason reason) {
    job.end();
    open.remove(job);
    if (reason != null) {
      losses.fail(job.seat, reason);
    }
    if (--of.remaining == 0) {
      finish(of);
    }
    signals.progress();
  }
}

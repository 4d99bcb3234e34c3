package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.tier.NvmeHealth.Access;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The writes of the NVMe tier from the moment they are wanted until the engine thread has taken
 * them in. Half of the threads at most write at once, so that no read waits for a queue of writes.
 *
 * <p>Thread-safe.
 */
final class WriteQueue {
  private final IoSignals signals;
  private final NvmeHealth health;
  private final int mostAtOnce;

  // under the lock of the signals
  private final ArrayDeque<WriteJob> waiting = new ArrayDeque<>();
  private final ArrayDeque<WriteJob> ended = new ArrayDeque<>();
  private final Set<WriteJob> open = new HashSet<>();
  private int underWay;

  /**
   * @param threads that read and write
   */
  WriteQueue(IoSignals signals, NvmeHealth health, int threads) {
    this.signals = signals;
    this.health = health;
    mostAtOnce = Math.max(1, threads / 2);
  }

  // --- the engine thread's side ---

  void submit(WriteJob job) {
    signals.lock();
    try {
      waiting.add(job);
      open.add(job);
      signals.work();
    } finally {
      signals.unlock();
    }
  }

  /** The next write that has ended, or null. */
  @Nullable WriteJob nextEnded() {
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

  /** Under the lock: counts what should have ended by now, once; whether the drive broke by it. */
  boolean noteOverdue(long now) {
    if (open.isEmpty()) {
      return false; // without an iterator: a step makes no objects
    }
    boolean brokeDown = false;
    for (WriteJob job : open) {
      if (!job.overdue && now - job.deadline > 0) {
        job.overdue = true;
        brokeDown |= health.unanswered(Access.WRITE);
      }
    }
    return brokeDown;
  }

  // --- the threads' side ---

  /** Under the lock: the next write, if so many may be under way. */
  @Nullable WriteJob take() {
    if (underWay == mostAtOnce || waiting.isEmpty()) {
      return null;
    }
    underWay++;
    return waiting.poll();
  }

  /** A write has ended. */
  void hasWritten(WriteJob job, @Nullable Throwable failure) {
    signals.lock();
    try {
      health.note(Access.WRITE, failure);
      end(job, failure);
    } finally {
      signals.unlock();
    }
    signals.announce();
  }

  /** A write could not be ended in the ordinary way. */
  void failed(WriteJob job, Throwable failure) {
    signals.lock();
    try {
      if (open.contains(job)) {
        end(job, failure);
      }
    } finally {
      signals.unlock();
    }
    signals.announce();
  }

  private void end(WriteJob job, @Nullable Throwable failure) {
    job.failure = failure;
    underWay--;
    open.remove(job);
    ended.add(job);
    if (!waiting.isEmpty()) {
      signals.work();
    }
    signals.progress();
  }
}

package dev.kvdrive.kv.tier;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The lock under which all lies that the I/O threads share with others, and who waits under it. One
 * for reads, writes and health, since a thread that looks for work looks at all of them at once.
 * Never held during I/O or copying.
 */
final class IoSignals {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition work = lock.newCondition();
  private final Condition progress = lock.newCondition();
  private final Runnable onProgress;

  /**
   * @param onProgress run without the lock when something has ended that the engine thread may wait
   *     for outside a step
   */
  IoSignals(Runnable onProgress) {
    this.onProgress = onProgress;
  }

  void lock() {
    lock.lock();
  }

  void unlock() {
    lock.unlock();
  }

  /** Under the lock: there is something to do for one thread. */
  void work() {
    work.signal();
  }

  /** Under the lock: there is something to do for several, or something else to be seen. */
  void allWork() {
    work.signalAll();
  }

  /** Under the lock: something has ended. */
  void progress() {
    progress.signalAll();
  }

  /** Without the lock: something has ended that the engine thread may wait for. */
  void announce() {
    onProgress.run();
  }

  /** Under the lock, in a loop: waits for work; returns what is left of the time. */
  long awaitWork(long nanos) {
    return await(work, nanos);
  }

  /** Under the lock, in a loop: waits until something has ended; returns what is left. */
  long awaitProgress(long nanos) {
    return await(progress, nanos);
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

package dev.kvdrive.bench.speed;

import dev.kvdrive.schedule.GenerationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Stops an engine's thread where so many tokens have been written, until more are wanted. An engine
 * that serves must never be stopped so; one that is measured has nothing else to do.
 */
final class Pace {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private long written;
  private long wanted;
  private long from;
  private long until;
  private boolean over;
  private @Nullable Throwable failure;

  /** A token was written; the engine's thread. */
  void token() {
    lock.lock();
    try {
      if (++written < wanted) {
        return;
      }
      until = System.nanoTime();
      changed.signalAll();
      while (written >= wanted && !over) {
        changed.awaitUninterruptibly();
      }
      from = System.nanoTime();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until so many more are written.
   *
   * @return nanoseconds from when the engine went on; the first time, from now
   * @throws GenerationException if the answers have ended before
   */
  long await(int more) {
    lock.lock();
    try {
      if (wanted == 0) {
        from = System.nanoTime();
      }
      wanted += more;
      changed.signalAll();
      while (written < wanted && failure == null) {
        changed.awaitUninterruptibly();
      }
      if (failure != null) {
        throw new GenerationException("the answers have ended: " + failure.getMessage(), failure);
      }
      return until - from;
    } finally {
      lock.unlock();
    }
  }

  /** No more will be written. */
  void ended(Throwable cause) {
    lock.lock();
    try {
      failure = cause;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** The engine need not stop any more. */
  void release() {
    lock.lock();
    try {
      over = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }
}

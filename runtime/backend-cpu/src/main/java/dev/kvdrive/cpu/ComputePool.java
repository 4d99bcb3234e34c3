package dev.kvdrive.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Threads that compute one parallel region at a time: {@link #run} hands the tasks of a region to
 * the workers and the calling thread, whoever is free takes the next, and returns when all are
 * done. A decode step is hundreds of regions of microseconds, so that workers wait for the next one
 * spinning before they park, and a region allocates nothing.
 *
 * <p>Waiting is bounded and polite: at first it spins with a pause hint, then gives the core away
 * at every turn, then parks. A worker that the scheduler does not run delays nobody: it takes part
 * only in regions whose tasks it claims, and the caller does all tasks itself if need be.
 *
 * <p>Threads: {@link #run} may be called from any number of threads; their regions run one after
 * the other. From inside a task it is refused.
 */
final class ComputePool implements AutoCloseable {
  /** One region's work; must not call {@link #run} of the same pool. */
  interface Task {
    /**
     * Does one task.
     *
     * @param task index of the task
     * @param thread index of the thread that runs it, below {@link #threads}; no two tasks run with
     *     the same index at the same time, so it may select scratch memory
     */
    void run(int task, int thread);
  }

  /** Turns of spinning, about 10 microseconds, before a waiting thread begins to yield. */
  private static final int SPIN_TURNS = 256;

  /** Nanoseconds of spinning and yielding before a waiting thread parks. */
  private static final long PARK_AFTER_NANOS = 200_000;

  /**
   * Region number in the upper half, unclaimed tasks in the lower. Claiming is a compare-and-set of
   * the whole word: one that succeeds proves that the fields read before belong to this region,
   * since they change only once a region has no unclaimed tasks.
   */
  private final AtomicLong ticket = new AtomicLong();

  private final AtomicInteger done = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final ReentrantLock region = new ReentrantLock();
  private final Worker[] workers;

  private volatile @Nullable Task task;
  private volatile int tasks;
  private volatile @Nullable Thread waitingCaller;
  private volatile boolean closed;

  /**
   * Starts {@code threads - 1} workers.
   *
   * @param threads threads that compute, the caller of {@link #run} included; at least 1
   */
  ComputePool(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("a compute pool of " + threads + " threads");
    }
    workers = new Worker[threads - 1];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker(i + 1);
    }
    for (Worker worker : workers) {
      worker.start();
    }
  }

  /** Threads that compute, the caller of {@link #run} included. */
  int threads() {
    return workers.length + 1;
  }

  /**
   * Runs tasks 0 to {@code tasks - 1}, in any order, on all threads; the caller takes part as
   * thread 0. Everything written before the call is seen by the tasks, and everything they wrote by
   * the caller afterwards.
   *
   * @throws IllegalStateException if called from a task, or after {@link #close}
   * @throws RuntimeException the first failure of a task, or the {@link Error}; tasks that had not
   *     begun by then are left out
   */
  void run(int tasks, Task task) {
    if (inRegion()) {
      throw new IllegalStateException("a task may not start a region of the pool that runs it");
    }
    region.lock();
    try {
      if (closed) {
        throw new IllegalStateException("the compute pool is closed");
      }
      if (tasks > 0) {
        runRegion(tasks, task);
      }
    } finally {
      region.unlock();
    }
  }

  /** A region that can be run again and again, without an object being made. */
  Runnable region(int tasks, Task task) {
    return () -> run(tasks, task);
  }

  private boolean inRegion() {
    return region.isHeldByCurrentThread()
        || (Thread.currentThread() instanceof Worker worker && worker.of(this));
  }

  private void runRegion(int tasks, Task task) {
    if (tasks == 1 || workers.length == 0) {
      for (int i = 0; i < tasks; i++) {
        task.run(i, 0);
      }
      return;
    }
    done.set(0);
    this.task = task;
    this.tasks = tasks;
    ticket.set((((ticket.get() >>> 32) + 1) << 32) | tasks);
    int helpers = Math.min(workers.length, tasks - 1);
    for (int i = 0; i < helpers; i++) {
      workers[i].wake();
    }
    work(0);
    awaitDone(tasks);
    this.task = null;
    Throwable thrown = failure.getAndSet(null);
    if (thrown instanceof Error error) {
      throw error;
    }
    if (thrown != null) {
      throw (RuntimeException) thrown;
    }
  }

  /** Claims and runs tasks until none is left; returns the number of the region last seen. */
  private long work(int thread) {
    while (true) {
      long seen = ticket.get();
      int unclaimed = (int) seen;
      if (unclaimed == 0) {
        return seen >>> 32;
      }
      Task current = task;
      int count = tasks;
      if (!ticket.compareAndSet(seen, seen - 1) || current == null) {
        continue;
      }
      try {
        if (failure.get() == null) {
          current.run(count - unclaimed, thread);
        }
      } catch (RuntimeException | Error e) {
        failure.compareAndSet(null, e);
      } finally {
        if (done.incrementAndGet() == count) {
          LockSupport.unpark(waitingCaller);
        }
      }
    }
  }

  @SuppressWarnings("ThreadPriorityCheck") // yields for others' sake; nothing depends on it
  private void awaitDone(int tasks) {
    int turns = 0;
    while (done.get() != tasks) {
      if (++turns < SPIN_TURNS) {
        Thread.onSpinWait();
      } else if (turns < 2 * SPIN_TURNS) {
        Thread.yield();
      } else {
        waitingCaller = Thread.currentThread();
        if (done.get() != tasks) {
          LockSupport.park(this);
        }
        waitingCaller = null;
      }
    }
  }

  /** Waits for the region that is running, then ends the workers. */
  @Override
  public void close() {
    if (inRegion()) {
      throw new IllegalStateException("a task may not close the pool that runs it");
    }
    region.lock();
    try {
      closed = true;
    } finally {
      region.unlock();
    }
    boolean interrupted = false;
    for (Worker worker : workers) {
      worker.wake();
      while (true) {
        try {
          worker.join();
          break;
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private final class Worker extends Thread {
    private final int index;
    private volatile boolean parked;

    Worker(int index) {
      super("kvdrive-compute-" + index);
      this.index = index;
      setDaemon(true);
    }

    boolean of(ComputePool pool) {
      return ComputePool.this == pool;
    }

    void wake() {
      if (parked || closed) {
        LockSupport.unpark(this);
      }
    }

    @Override
    public void run() {
      long seen = 0;
      while (awaitRegion(seen)) {
        seen = work(index);
      }
    }

    /** Waits for a region after {@code seen}; false when the pool is closed. */
    @SuppressWarnings("ThreadPriorityCheck") // yields for others' sake; nothing depends on it
    private boolean awaitRegion(long seen) {
      for (int turn = 0; turn < SPIN_TURNS; turn++) {
        if (ticket.get() >>> 32 != seen) {
          return true;
        }
        Thread.onSpinWait();
      }
      long from = System.nanoTime();
      while (System.nanoTime() - from < PARK_AFTER_NANOS) {
        if (ticket.get() >>> 32 != seen) {
          return true;
        }
        Thread.yield();
      }
      while (true) {
        parked = true;
        try {
          if (ticket.get() >>> 32 != seen) {
            return true;
          }
          if (closed) {
            return false;
          }
          LockSupport.park(ComputePool.this);
        } finally {
          parked = false;
        }
        Thread.interrupted();
      }
    }
  }
}

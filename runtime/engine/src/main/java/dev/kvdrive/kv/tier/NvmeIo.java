package dev.kvdrive.kv.tier;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What the I/O threads of the NVMe tier do next: reads before writes, so that a step never waits
 * for a queue of writes, and while the drive does not work now and then a probe whether it does
 * again.
 */
final class NvmeIo implements AutoCloseable {
  private static final Logger LOG = System.getLogger(NvmeIo.class.getName());
  private static final long CLOSE_MILLIS = 3_000;

  private final IoSignals signals;
  private final NvmeHealth health;
  private final ReadQueue reads;
  private final WriteQueue writes;
  private List<IoThread> threads = List.of();
  private volatile @Nullable String broken;

  /** Under the lock of the signals. */
  private boolean stopped;

  NvmeIo(IoSignals signals, NvmeHealth health, ReadQueue reads, WriteQueue writes) {
    this.signals = signals;
    this.health = health;
    this.reads = reads;
    this.writes = writes;
  }

  NvmeHealth health() {
    return health;
  }

  ReadQueue reads() {
    return reads;
  }

  WriteQueue writes() {
    return writes;
  }

  /** Starts the threads. */
  void start(List<IoThread> workers) {
    threads = List.copyOf(workers);
    threads.forEach(IoThread::start);
  }

  /** Why the tier cannot go on in this process, or null: one of its threads has ended. */
  @Nullable String broken() {
    return broken;
  }

  /** Waits until a write or a late read has ended that nobody has taken in, or a while. */
  void awaitProgress(long nanos) {
    signals.lock();
    try {
      long left = nanos;
      while (!writes.hasEnded() && !reads.hasEnded() && left > 0 && !reads.abandoned()) {
        left = signals.awaitProgress(left);
      }
    } finally {
      signals.unlock();
    }
  }

  /** Counts what should have ended by now and has not, each access once. */
  void noteOverdue() {
    boolean brokeDown;
    signals.lock();
    try {
      long now = System.nanoTime();
      brokeDown = reads.noteOverdue(now);
      brokeDown |= writes.noteOverdue(now);
    } finally {
      signals.unlock();
    }
    if (brokeDown) {
      signals.announce();
    }
  }

  /** Stops the threads once their I/O in flight has ended, or a bounded time has passed. */
  @Override
  public void close() {
    signals.lock();
    try {
      stopped = true;
      signals.allWork();
    } finally {
      signals.unlock();
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
    signals.lock();
    try {
      while (!stopped) {
        ReadRound round = reads.round();
        ReadJob read = reads.take();
        if (read != null) {
          return new Task(read.late ? null : round, read, null);
        }
        WriteJob write = writes.take();
        if (write != null) {
          return new Task(null, null, write);
        }
        long untilProbe = health.untilProbe();
        if (untilProbe <= 0) {
          health.probing();
          return Task.PROBE;
        }
        signals.awaitWork(untilProbe);
      }
      return null;
    } finally {
      signals.unlock();
    }
  }

  /** A thread could not end its task in the ordinary way: whoever waits for it is told. */
  void failed(Task task, Throwable failure) {
    LOG.log(Level.ERROR, "a task of the NVMe tier failed in an unexpected way", failure);
    ReadJob read = task.read();
    WriteJob write = task.write();
    if (read != null) {
      reads.failed(task.round(), read, failure);
    } else if (write != null) {
      writes.failed(write, failure);
    } else {
      health.probed(failure.getClass().getName());
    }
  }

  /** A thread has ended although it should not have. */
  void died(String thread, Throwable cause) {
    String message = "the thread %s of the NVMe tier has ended: %s".formatted(thread, cause);
    broken = message;
    LOG.log(Level.ERROR, message + "; the engine must be restarted", cause);
  }
}

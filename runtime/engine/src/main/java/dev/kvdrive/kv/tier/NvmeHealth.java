package dev.kvdrive.kv.tier;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * Whether the drive of the NVMe tier works, and what it has done. It does not work any more once
 * reads, or writes, have failed {@value #FAILURES} times in a row, or half as many of both together
 * were not answered in time; it does again when a block that is written comes back. Until then that
 * is tried again and again, at intervals that grow.
 *
 * <p>Thread-safe.
 */
final class NvmeHealth {
  private static final Logger LOG = System.getLogger(NvmeHealth.class.getName());
  private static final long LOG_INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** Reads or writes in a row that fail, each with its repetition, before the drive is given up. */
  static final int FAILURES = 4;

  /** What an access that is not answered in time weighs beside one that fails. */
  private static final int UNANSWERED = 2;

  private static final long FIRST_INTERVAL = TimeUnit.SECONDS.toNanos(1);
  private static final long LAST_INTERVAL = TimeUnit.SECONDS.toNanos(10);

  /** What a drive is asked to do. */
  enum Access {
    READ("read from"),
    WRITE("written to");

    private final String words;

    Access(String words) {
      this.words = words;
    }
  }

  private final IoSignals signals;
  private final LongAdder reads = new LongAdder();
  private final LongAdder writes = new LongAdder();
  private final LongAdder errors = new LongAdder();
  private volatile @Nullable String failure;

  // under the lock of the signals
  private final Map<Access, Integer> failed = new EnumMap<>(Access.class);

  /** What accesses without an answer weigh since the last that had one, of either kind. */
  private int silence;

  private long interval = FIRST_INTERVAL;
  private long probeAt;
  private boolean probing;
  private long lastLogNanos = System.nanoTime() - LOG_INTERVAL_NANOS;

  NvmeHealth(IoSignals signals) {
    this.signals = signals;
  }

  /** Why the drive does not work, without the names of files; null while it does. */
  @Nullable String failure() {
    return failure;
  }

  /** Extents read. */
  long reads() {
    return reads.sum();
  }

  /** Extents written. */
  long writes() {
    return writes.sum();
  }

  /** Reads and writes that failed, each attempt counted. */
  long errors() {
    return errors.sum();
  }

  /** An attempt failed. */
  void countError() {
    errors.increment();
  }

  /**
   * An access has ended, with its repetition if it had one.
   *
   * @param cause why it failed; null if it did not
   */
  void note(Access access, @Nullable Throwable cause) {
    signals.lock();
    try {
      if (cause == null) {
        (access == Access.READ ? reads : writes).increment();
        failed.put(access, 0);
        silence = 0;
      } else {
        failed(access, ExtentFiles.reason(cause), 1);
      }
    } finally {
      signals.unlock();
    }
  }

  /**
   * An access was not answered in time, which is worse than an error.
   *
   * @return whether the drive does not work from now on, and did until now
   */
  boolean unanswered(Access access) {
    signals.lock();
    try {
      silence += UNANSWERED;
      return failed(access, "it did not answer in time", UNANSWERED);
    } finally {
      signals.unlock();
    }
  }

  private boolean failed(Access access, String reason, int weight) {
    int inARow = Math.max(failed.merge(access, weight, Integer::sum), silence);
    if (failure != null || inARow < FAILURES) {
      return false;
    }
    interval = FIRST_INTERVAL;
    probeAt = System.nanoTime() + interval;
    failure =
        isFull(reason)
            ? "the NVMe volume is full (%s) although the space of the extents was allocated: its filesystem copies on write or is thinly provisioned; make room on it, or use ext4 or xfs on a volume of its own"
                .formatted(reason)
            : "the NVMe tier cannot be %s: %s; try again in some seconds, and check the drive if this stays"
                .formatted(access.words, reason);
    LOG.log(
        Level.ERROR,
        "{0}; requests that need it fail until a block that is written comes back",
        failure);
    signals.allWork(); // somebody has to wait for the probe
    return true;
  }

  private static boolean isFull(String reason) {
    return reason.contains("No space left") || reason.contains("Disk quota exceeded");
  }

  /**
   * Under the lock: nanoseconds until a probe is due, not positive if it is; never while one is
   * under way.
   */
  long untilProbe() {
    return failure == null || probing ? Long.MAX_VALUE : probeAt - System.nanoTime();
  }

  /** Under the lock: a probe begins. */
  void probing() {
    probing = true;
  }

  /**
   * A probe has ended.
   *
   * @param refusal why the block did not come back, or null if it did
   */
  void probed(@Nullable String refusal) {
    signals.lock();
    try {
      probing = false;
      if (refusal == null) {
        failure = null;
        failed.clear();
        silence = 0;
        LOG.log(Level.INFO, "the NVMe tier works again: a block that was written came back");
      } else {
        interval = Math.min(2 * interval, LAST_INTERVAL);
        probeAt = System.nanoTime() + interval;
      }
    } finally {
      signals.unlock();
    }
    signals.announce();
  }

  /** Logs an I/O error, now and then. */
  void log(String message, Throwable cause) {
    signals.lock();
    try {
      long now = System.nanoTime();
      if (now - lastLogNanos < LOG_INTERVAL_NANOS) {
        return;
      }
      lastLogNanos = now;
    } finally {
      signals.unlock();
    }
    LOG.log(Level.WARNING, message, cause);
  }
}

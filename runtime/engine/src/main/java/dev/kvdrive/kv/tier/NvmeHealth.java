package dev.kvdrive.kv.tier;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Whether the drive of the NVMe tier works. It does not any more once reads, or writes, have failed
 * {@value #FAILURES} times in a row, or half as many of both together were not answered in time; it
 * does again when a block that is written comes back. Until then that is tried again and again, at
 * intervals that grow.
 *
 * <p>Not thread-safe but for {@link #failure}: belongs under the lock of {@link NvmeIo}.
 */
final class NvmeHealth {
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

  private final Map<Access, Integer> failed = new EnumMap<>(Access.class);

  /** What accesses without an answer weigh since the last that had one, of either kind. */
  private int silence;

  private long interval = FIRST_INTERVAL;
  private long probeAt;
  private boolean probing;
  private volatile @Nullable String failure;

  /** Why the drive does not work, without the names of files; null while it does. Any thread. */
  @Nullable String failure() {
    return failure;
  }

  /** An access succeeded. */
  void succeeded(Access access) {
    failed.put(access, 0);
    silence = 0;
  }

  /**
   * An access failed.
   *
   * @return whether the drive does not work from now on, and did until now
   */
  boolean failed(Access access, String reason) {
    return failed(access, reason, 1);
  }

  /** Like {@link #failed}: an access was not answered in time, which is worse than an error. */
  boolean unanswered(Access access) {
    silence += UNANSWERED;
    return failed(access, "it did not answer in time", UNANSWERED);
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
            : "the NVMe tier cannot be %s: %s; check the drive".formatted(access.words, reason);
    return true;
  }

  private static boolean isFull(String reason) {
    return reason.contains("No space left") || reason.contains("Disk quota exceeded");
  }

  /** Nanoseconds until a probe is due, not positive if it is; never while one is under way. */
  long untilProbe() {
    return failure == null || probing ? Long.MAX_VALUE : probeAt - System.nanoTime();
  }

  /** A probe begins. */
  void probing() {
    probing = true;
  }

  /**
   * A probe has ended.
   *
   * @param refusal why the block did not come back, or null if it did
   */
  void probed(@Nullable String refusal) {
    probing = false;
    if (refusal == null) {
      failure = null;
      failed.clear();
      silence = 0;
    } else {
      interval = Math.min(2 * interval, LAST_INTERVAL);
      probeAt = System.nanoTime() + interval;
    }
  }
}

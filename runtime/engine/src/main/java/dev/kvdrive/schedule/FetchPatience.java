package dev.kvdrive.schedule;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * How long a step waits for chunks that one of its rows misses on NVMe: long enough for a drive at
 * work, and so short that the other rows, and who comes meanwhile, hardly notice one that is not. A
 * row that is late is parked, and its step repeated once the chunks are in DRAM. Where they find no
 * room there it would be late again and again: from the third time on it is waited for four times
 * as long each time, as far as the fetch timeout allows.
 */
final class FetchPatience {
  private static final long ORDINARY = TimeUnit.MILLISECONDS.toNanos(20);

  /** While the last chunks from NVMe were late. */
  private static final long HASTY = TimeUnit.MILLISECONDS.toNanos(2);

  /** Repetitions without a longer wait. */
  private static final int FREE = 2;

  private static final int MAX_SHIFT = 30;

  private final long most;
  private boolean slow;

  FetchPatience(Duration fetchTimeout) {
    most = Math.max(1, fetchTimeout.toNanos() / 2);
  }

  /** Nanoseconds for a step of these sequences. */
  long of(List<Sequence> rows) {
    int late = rows.stream().mapToInt(Sequence::timesLate).max().orElse(0);
    int shift = Math.min(MAX_SHIFT, 2 * Math.max(0, late - FREE));
    return Math.min(most, (slow ? HASTY : ORDINARY) << shift);
  }

  /** A step has run. */
  void ran(boolean late, boolean fromNvme) {
    if (late) {
      slow = true;
    } else if (fromNvme) {
      slow = false;
    }
  }
}

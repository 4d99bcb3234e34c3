package dev.kvdrive.schedule;

import java.time.Duration;

/**
 * Who runs when, and how long at most.
 *
 * @param queueLimit requests that may wait for a seat
 * @param prefillShare share of the time that prefill takes while other sequences decode, in (0, 1):
 *     what it leaves is the decode rate that running users keep
 * @param warmUpTokens length of the prompt that the engine runs before it is ready; 0 for none
 * @param warmUpTime how long it goes on with such prompts and answers, for a device whose code is
 *     compiled while it runs; zero for one prompt and a few steps
 * @param keepsPrompts whether what was made of a prompt stays after its sequence, as long as nobody
 *     needs the room, and is found by prompts of the same tenant that begin alike
 * @param turnTimeout how long a turn of the engine thread, a prefill quantum and a decode step, may
 *     last before the engine counts as failed
 */
public record SchedulingOptions(
    int queueLimit,
    double prefillShare,
    int warmUpTokens,
    Duration warmUpTime,
    boolean keepsPrompts,
    Duration turnTimeout) {
  /** Bound of a turn unless said otherwise: far longer than any work takes. */
  private static final Duration DEFAULT_TURN_TIMEOUT = Duration.ofMinutes(2);

  /** Share of the time for prefill unless said otherwise. */
  private static final double DEFAULT_PREFILL_SHARE = 0.5;

  /** Length of the warm-up prompt unless said otherwise. */
  private static final int DEFAULT_WARM_UP_TOKENS = 512;

  /** Requests that may wait for a seat at most, whatever is asked for. */
  public static final int MAX_QUEUE = 1 << 16;

  public SchedulingOptions {
    if (queueLimit < 0 || queueLimit > MAX_QUEUE) {
      throw new IllegalArgumentException(
          "the queue limit must be between 0 and %d, got %d".formatted(MAX_QUEUE, queueLimit));
    }
    if (!(prefillShare > 0 && prefillShare < 1)) {
      throw new IllegalArgumentException(
          "the prefill share must be between 0 and 1 (both excluded), got " + prefillShare);
    }
    if (warmUpTokens < 0) {
      throw new IllegalArgumentException(
          "the warm-up prompt cannot have %d tokens".formatted(warmUpTokens));
    }
    if (warmUpTime.isNegative()) {
      throw new IllegalArgumentException("the warm-up cannot take " + warmUpTime);
    }
  }

  /** The defaults for a queue; no prompt is kept. */
  public static SchedulingOptions of(int queueLimit) {
    return new SchedulingOptions(
        queueLimit,
        DEFAULT_PREFILL_SHARE,
        DEFAULT_WARM_UP_TOKENS,
        Duration.ZERO,
        false,
        DEFAULT_TURN_TIMEOUT);
  }

  public SchedulingOptions withPrefillShare(double share) {
    return new SchedulingOptions(
        queueLimit, share, warmUpTokens, warmUpTime, keepsPrompts, turnTimeout);
  }

  public SchedulingOptions withWarmUpTokens(int tokens) {
    return new SchedulingOptions(
        queueLimit, prefillShare, tokens, warmUpTime, keepsPrompts, turnTimeout);
  }

  public SchedulingOptions withWarmUpTime(Duration time) {
    return new SchedulingOptions(
        queueLimit, prefillShare, warmUpTokens, time, keepsPrompts, turnTimeout);
  }

  public SchedulingOptions withKeepsPrompts(boolean keeps) {
    return new SchedulingOptions(
        queueLimit, prefillShare, warmUpTokens, warmUpTime, keeps, turnTimeout);
  }

  public SchedulingOptions withTurnTimeout(Duration timeout) {
    return new SchedulingOptions(
        queueLimit, prefillShare, warmUpTokens, warmUpTime, keepsPrompts, timeout);
  }
}

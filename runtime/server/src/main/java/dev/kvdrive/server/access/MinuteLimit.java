package dev.kvdrive.server.access;

import io.github.bucket4j.Bandwidth;
import io.github.bucket4j.BucketConfiguration;
import io.github.bucket4j.TimeMeter;
import io.github.bucket4j.TokensInheritanceStrategy;
import io.github.bucket4j.local.LocalBucket;
import io.github.bucket4j.local.LocalBucketBuilder;
import java.time.Duration;

/**
 * So many a minute, as a bucket: it holds as many as a minute gives and fills evenly. In any time
 * {@code t} no more than {@code limit + limit * t / minute} are let through. What is charged after
 * it was used may leave the bucket below zero, which is made up for first. Thread-safe.
 */
final class MinuteLimit {
  private static final Duration MINUTE = Duration.ofMinutes(1);

  private final LocalBucket bucket;
  private volatile int limit;

  /** A full bucket. */
  MinuteLimit(int limit, TimeMeter clock) {
    this.limit = limit;
    this.bucket =
        new LocalBucketBuilder().addLimit(bandwidth(limit)).withCustomTimePrecision(clock).build();
  }

  private static Bandwidth bandwidth(int limit) {
    return Bandwidth.builder().capacity(limit).refillGreedy(limit, MINUTE).build();
  }

  /** Another limit from now on; what is used stays used. */
  void change(int changed) {
    if (changed != limit) {
      bucket.replaceConfiguration(
          BucketConfiguration.builder().addLimit(bandwidth(changed)).build(),
          TokensInheritanceStrategy.AS_IS);
      limit = changed;
    }
  }

  int limit() {
    return limit;
  }

  /** Takes one if one is there. */
  boolean take() {
    return bucket.tryConsume(1);
  }

  /** Takes what has been used already, there or not. */
  void charge(long used) {
    if (used > 0) {
      bucket.consumeIgnoringRateLimits(used);
    }
  }

  /** What is there; below zero for what was charged beyond it. */
  long left() {
    return bucket.getAvailableTokens();
  }

  /** Until at least one is there; the bucket rounds down, so that one nanosecond may be missing. */
  Duration untilOne() {
    return Duration.ofNanos(bucket.estimateAbilityToConsume(1).getNanosToWaitForRefill() + 1);
  }

  /** Until nothing is missing. */
  Duration untilFull() {
    long missing = Math.max(0, limit - left());
    return Duration.ofNanos(Math.ceilDiv(Math.multiplyExact(missing, MINUTE.toNanos()), limit));
  }
}

package dev.kvdrive.server.access;

import org.jspecify.annotations.Nullable;

/**
 * What one key may take; null for no limit.
 *
 * @param requestsPerMinute requests that are admitted
 * @param tokensPerMinute tokens of prompts and answers
 * @param concurrentRequests requests that are worked on at the same time
 */
public record KeyLimits(
    @Nullable Integer requestsPerMinute,
    @Nullable Integer tokensPerMinute,
    @Nullable Integer concurrentRequests) {
  /** Whatever the server has. */
  public static final KeyLimits NONE = new KeyLimits(null, null, null);

  /** The largest limit: no server comes near, and the arithmetic of nanoseconds stays exact. */
  static final int MAX = 100_000_000;

  public KeyLimits {
    check("requestsPerMinute", requestsPerMinute);
    check("tokensPerMinute", tokensPerMinute);
    check("concurrentRequests", concurrentRequests);
  }

  private static void check(String name, @Nullable Integer limit) {
    if (limit != null && (limit < 1 || limit > MAX)) {
      throw new IllegalArgumentException(
          "%s must be between 1 and %d, got %d; leave it out for no limit"
              .formatted(name, MAX, limit));
    }
  }
}

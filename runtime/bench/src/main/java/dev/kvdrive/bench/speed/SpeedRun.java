package dev.kvdrive.bench.speed;

import java.util.Map;

/**
 * One prompt read and one answer written, or several together, by any engine.
 *
 * @param promptTokens tokens read
 * @param decodeSteps tokens written after the first, of all answers
 * @param prefillNanos until the first token
 * @param decodeNanos from the first token to the last
 * @param attendedTokens tokens attended for a token, mean over steps, layers and KV heads
 * @param hitRate share of the selected chunks that were in the window
 * @param fetchedBytes bytes fetched into the window for a token
 * @param verbNanos of {@code decodeNanos} those of each verb, if they were measured
 */
public record SpeedRun(
    int promptTokens,
    int decodeSteps,
    long prefillNanos,
    long decodeNanos,
    double attendedTokens,
    double hitRate,
    double fetchedBytes,
    Map<String, Long> verbNanos) {
  /** Without those of verbs. */
  public SpeedRun(
      int promptTokens,
      int decodeSteps,
      long prefillNanos,
      long decodeNanos,
      double attendedTokens,
      double hitRate,
      double fetchedBytes) {
    this(
        promptTokens,
        decodeSteps,
        prefillNanos,
        decodeNanos,
        attendedTokens,
        hitRate,
        fetchedBytes,
        Map.of());
  }

  /** Prompt tokens per second. */
  public double prefillRate() {
    return 1e9 * promptTokens / prefillNanos;
  }

  /** Tokens per second. */
  public double decodeRate() {
    return 1e9 * decodeSteps / decodeNanos;
  }
}

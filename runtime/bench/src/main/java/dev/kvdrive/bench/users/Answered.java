package dev.kvdrive.bench.users;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one request of a user came to, by the user's clock.
 *
 * @param user who asked, from 0
 * @param promptTokens tokens of the prompt as the server counts them; 0 if it did not come so far
 * @param tokens of the answer
 * @param firstNanos from asking to the first text; 0 if there was none
 * @param nanos from asking to the end
 * @param gapNanos times between the events with text that follow each other
 * @param failure what went wrong, in the server's words; null if the answer came
 */
public record Answered(
    int user,
    int promptTokens,
    int tokens,
    long firstNanos,
    long nanos,
    List<Long> gapNanos,
    @Nullable String failure) {
  public Answered {
    gapNanos = List.copyOf(gapNanos);
  }

  /** Tokens a second behind the first; NaN if there are none. */
  public double tokensPerSecond() {
    return tokens > 1 && nanos > firstNanos
        ? (tokens - 1) / ((nanos - firstNanos) / 1e9)
        : Double.NaN;
  }
}

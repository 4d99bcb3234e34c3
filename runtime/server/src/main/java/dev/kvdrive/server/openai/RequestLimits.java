package dev.kvdrive.server.openai;

/**
 * What one request may ask for at most.
 *
 * @param contextLength tokens of prompt and answer together
 * @param bodyBytes bytes of a request body
 * @param messages messages of a conversation
 * @param choices generations of one request: prompts times {@code n}
 * @param stopStrings stop strings
 * @param stopChars chars of one stop string
 * @param topLogprobs alternatives per token
 * @param logprobEntries log-probabilities reported in one answer: tokens times (1 + alternatives)
 */
public record RequestLimits(
    int contextLength,
    int bodyBytes,
    int messages,
    int choices,
    int stopStrings,
    int stopChars,
    int topLogprobs,
    long logprobEntries) {
  private static final int SMALLEST_BODY_BYTES = 1 << 20;
  private static final int BODY_BYTES_PER_TOKEN = 32;
  private static final int LARGEST_BODY_BYTES = 256 << 20;

  /**
   * Limits that follow from what the server can run: a body holds every prompt that fits the
   * context, even when most of its characters are escaped, and not much more.
   *
   * @param contextLength tokens of one sequence
   * @param concurrency seats
   * @param queueLimit places in the queue
   */
  public static RequestLimits of(int contextLength, int concurrency, int queueLimit) {
    long body =
        Math.clamp(
            (long) contextLength * BODY_BYTES_PER_TOKEN, SMALLEST_BODY_BYTES, LARGEST_BODY_BYTES);
    return new RequestLimits(
        contextLength,
        (int) body,
        4096,
        Math.min(16, concurrency + queueLimit),
        16,
        256,
        20,
        2_000_000);
  }
}

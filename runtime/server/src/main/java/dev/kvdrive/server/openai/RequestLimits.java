package dev.kvdrive.server.openai;

import dev.kvdrive.plan.RequestMemory;

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
  /**
   * Limits that follow from what the server can run.
   *
   * @param contextLength tokens of one sequence
   * @param concurrency seats
   * @param queueLimit places in the queue
   */
  public static RequestLimits of(int contextLength, int concurrency, int queueLimit) {
    return new RequestLimits(
        contextLength,
        RequestMemory.of(contextLength, concurrency, queueLimit).largestBodyBytes(),
        4096,
        Math.min(16, concurrency + queueLimit),
        16,
        256,
        20,
        2_000_000);
  }
}

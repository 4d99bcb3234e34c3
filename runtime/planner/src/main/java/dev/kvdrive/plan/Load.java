package dev.kvdrive.plan;

/**
 * How much comes at once.
 *
 * @param contextLength tokens of a sequence, prompt and generation together
 * @param concurrency sequences at once
 * @param queueLimit requests that may wait; they cost heap
 */
public record Load(int contextLength, int concurrency, int queueLimit) {
  /** Waiting requests by default, per running one. */
  public static final int DEFAULT_QUEUE_PER_SEAT = 8;

  /** Shortest context that can be planned: sink, local ring and a chunk, rounded up. */
  public static final int MIN_CONTEXT = 128;

  /** Most sequences at once. */
  public static final int MAX_CONCURRENCY = 1024;

  public Load {
    if (concurrency < 1 || concurrency > MAX_CONCURRENCY) {
      throw new IllegalArgumentException(
          "concurrency must be between 1 and %d, got %d".formatted(MAX_CONCURRENCY, concurrency));
    }
    if (queueLimit < 0) {
      throw new IllegalArgumentException("queueLimit must not be negative, got " + queueLimit);
    }
  }

  /** With as many places in the queue as are usual for so many sequences. */
  public Load(int contextLength, int concurrency) {
    this(contextLength, concurrency, Math.multiplyExact(concurrency, DEFAULT_QUEUE_PER_SEAT));
  }

  Load withContextLength(int tokens) {
    return new Load(tokens, concurrency, queueLimit);
  }

  Load withConcurrency(int sequences) {
    return new Load(contextLength, sequences, queueLimit);
  }
}

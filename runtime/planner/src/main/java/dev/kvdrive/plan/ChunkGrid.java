package dev.kvdrive.plan;

/**
 * How the tokens of a sequence divide into sink, closed chunks and local ring. Every token is in
 * exactly one of them:
 *
 * <pre>
 *   tokens   0 .. sink-1                        sink, always attended
 *            sink + chunk*c .. + chunk-1        closed chunk c, attended when selected
 *            the last {@code local} .. local+chunk-1 tokens   local ring, always attended
 * </pre>
 *
 * A chunk closes, that is leaves the ring for its tier, as soon as the ring would otherwise hold
 * {@code local + chunk} tokens. The state is a pure function of the number of tokens, so host and
 * device compute it without telling each other.
 *
 * @param sink tokens at the start that are always attended (the paper: 4)
 * @param local tokens at the end that are always attended, at least (the paper: 64)
 * @param chunk tokens of a chunk (the paper: 8)
 */
public record ChunkGrid(int sink, int local, int chunk) {
  /** The paper's setting: 4 sink tokens, 64 local tokens, chunks of 8. */
  public static final ChunkGrid PAPER = new ChunkGrid(4, 64, 8);

  public ChunkGrid {
    if (sink < 0 || local < 1 || chunk < 1) {
      throw new IllegalArgumentException(
          "a chunk grid needs sink >= 0, local >= 1 and chunk >= 1, got sink=%d local=%d chunk=%d"
              .formatted(sink, local, chunk));
    }
  }

  /** Chunks closed once a sequence has {@code tokens} tokens. */
  public int closedChunks(int tokens) {
    return Math.max(0, (tokens - sink - local) / chunk);
  }

  /** Tokens a sequence has at most with {@code chunks} closed chunks. */
  public int mostTokens(int chunks) {
    return sink + local + chunk * (chunks + 1) - 1;
  }

  /** Tokens in the local ring of a sequence of {@code tokens} tokens. */
  public int ringTokens(int tokens) {
    return Math.max(0, tokens - sink - chunk * closedChunks(tokens));
  }

  /**
   * Token slots of the ring: the ring never holds more than {@code local + chunk - 1} tokens at
   * rest.
   */
  public int ringCapacity() {
    return local + chunk;
  }

  /** Token slots that sink and ring take together. */
  public int denseTokens() {
    return sink + ringCapacity();
  }

  /** Ring slot of token {@code token} (which must not be a sink token). */
  public int ringSlot(int token) {
    return (token - sink) % ringCapacity();
  }

  /** First token of closed chunk {@code chunkIndex}. */
  public int firstToken(int chunkIndex) {
    return sink + chunk * chunkIndex;
  }
}

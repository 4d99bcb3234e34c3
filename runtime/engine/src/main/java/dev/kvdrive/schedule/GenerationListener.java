package dev.kvdrive.schedule;

/**
 * Told about one generation, on the engine's thread; must return quickly and never block. What it
 * throws ends the generation with an error, no other.
 *
 * <p>When it is told of the end, everything the generation had is free: its seat, its frames and
 * extents, its place in the queue.
 */
public interface GenerationListener {
  /** It is the next to run, and waits for this although a seat is free. */
  default void onWait(String reason) {}

  /**
   * {@code done} of {@code total} units of prefill work (prompt tokens times layers) are finished.
   */
  default void onPrefill(long done, long total) {}

  /** A token was generated; {@code token.text()} may be empty while a character is incomplete. */
  void onToken(GeneratedToken token);

  /** The end, for whatever reason but an error. */
  void onFinish(Finish finish);

  /**
   * The end by an error; no text of this generation is to be trusted further.
   *
   * @param took until then
   */
  void onError(GenerationException error, GenerationUsage took);
}

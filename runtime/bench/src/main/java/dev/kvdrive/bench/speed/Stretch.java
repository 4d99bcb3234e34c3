package dev.kvdrive.bench.speed;

/**
 * Some steps of answers that go on later.
 *
 * @param tokens written, of all sequences
 * @param nanos for them
 * @param hits selected chunks that were in the window
 * @param dramMisses selected chunks that came from DRAM
 * @param nvmeMisses selected chunks that came from NVMe
 */
public record Stretch(int tokens, long nanos, long hits, long dramMisses, long nvmeMisses) {
  /** Tokens per second. */
  public double rate() {
    return 1e9 * tokens / nanos;
  }
}

package dev.kvdrive.text;

/** How large the parts of a tokenizer may be; real ones stay below a tenth of each. */
final class Limits {

  static final int TOKENS = 1 << 22;
  static final int MERGES = 1 << 23;
  static final int PIECE_CHARS = 1 << 14;
  static final int PATTERN_CHARS = 1 << 14;
  static final int STAGES = 64;
  private static final int SPARE_IDS = 1 << 16;
  static final long FILE_BYTES = 256L << 20;

  /** Heap that one value of a JSON file takes when it is read, key and list entry included. */
  private static final long BYTES_PER_VALUE = 64;

  private static final long LEAST_VALUES = 1 << 20;

  private Limits() {}

  /** Values that a JSON file may hold so that half of the heap is enough to read it. */
  static long values() {
    return Math.max(LEAST_VALUES, Runtime.getRuntime().maxMemory() / 2 / BYTES_PER_VALUE);
  }

  /** Refuses ids so far apart that what lies between them would cost more than the tokens. */
  static void checkDense(int size, int tokens) {
    if (size > 2 * tokens + SPARE_IDS) {
      throw new TokenizerException(
          "the tokenizer has %,d tokens but an id of %,d; ids this far apart are not supported"
              .formatted(tokens, size - 1));
    }
  }

  static void check(String what, long count, long limit) {
    if (count > limit) {
      throw new TokenizerException(
          "the tokenizer has " + what + " of " + count + ", more than the limit of " + limit);
    }
  }
}

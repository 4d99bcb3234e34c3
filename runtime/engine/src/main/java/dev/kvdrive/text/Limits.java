package dev.kvdrive.text;

/** How large the parts of a tokenizer may be; real ones stay below a tenth of each. */
final class Limits {

  static final int TOKENS = 1 << 22;
  static final int MERGES = 1 << 23;
  static final int PIECE_CHARS = 1 << 14;
  static final long FILE_BYTES = 256L << 20;

  private Limits() {}

  static void check(String what, long count, long limit) {
    if (count > limit) {
      throw new TokenizerException(
          "the tokenizer has " + what + " of " + count + ", more than the limit of " + limit);
    }
  }
}

package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;

/** Products with the tokens of chunks, added up. Kernels: see {@link Lanes}. */
final class TokenKernels {
  /** Chunks at once: a multiple of the lanes of every vector. */
  static final int BLOCK = 32;

  private TokenKernels() {}

  /**
   * Scores of the chunks of a block: {@code log(sum(exp(product)))} over the tokens of each.
   *
   * @param products address of {@code [tokens][BLOCK]} floats
   * @param target address of {@code count} floats; up to a vector is written behind them
   * @param scratch address of {@code BLOCK} floats, overwritten
   */
  static void logSumExp(long products, int tokens, int count, long target, long scratch) {
    largest(products, tokens, count, target);
    sums(products, tokens, count, target, scratch);
    ShareKernels.addLogs(target, scratch, count, target);
  }

  private static void largest(long products, int tokens, int count, long target) {
    for (long c = 0; c < 4L * count; c += 4L * Lanes.N) {
      FloatVector most = FloatVector.broadcast(Lanes.F, Float.NEGATIVE_INFINITY);
      for (int t = 0; t < tokens; t++) {
        most = Lanes.larger(most, Lanes.load(products + 4L * t * BLOCK + c));
      }
      Lanes.store(most, target + c);
    }
  }

  private static void sums(long products, int tokens, int count, long largest, long target) {
    for (long c = 0; c < 4L * count; c += 4L * Lanes.N) {
      FloatVector most = Lanes.load(largest + c);
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (int t = 0; t < tokens; t++) {
        sum = sum.add(Lanes.decay(Lanes.load(products + 4L * t * BLOCK + c).sub(most)));
      }
      Lanes.store(sum, target + c);
    }
  }
}

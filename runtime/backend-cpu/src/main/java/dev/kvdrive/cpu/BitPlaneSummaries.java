package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.KvType;

/**
 * Keys as strings of signs in a fitted space.
 *
 * @param book address of the KV head's codebook
 * @param order of the words of a summary
 */
record BitPlaneSummaries(BitPlaneSummary format, KvType type, long book, NibbleKernels.Order order)
    implements Summaries {
  private static final int BLOCK = NibbleKernels.BLOCK;

  BitPlaneSummaries(BitPlaneSummary format, KvType type, long book) {
    this(format, type, book, NibbleKernels.Order.byWord(format.chunk(), format.words()));
  }

  @Override
  public void write(long[] rows, long target, boolean first, ThreadScratch scratch) {
    int padded = KvRows.padded(format.headDim());
    long key = scratch.floats(Use.KEYS, padded);
    long z = scratch.floats(Use.SUMS, padded);
    for (int t = 0; t < format.chunk(); t++) {
      KvRowKernels.widen(type, rows[t], 1, format.headDim(), key, padded);
      BitPlaneKeys.encode(format, book, key, z, target + format.wordOffset(0, t));
    }
  }

  @Override
  public void products(
      AttentionShape shape,
      long queries,
      long summaries,
      int count,
      long products,
      long stride,
      ThreadScratch scratch) {
    int group = shape.groupSize();
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    int tableFloats = NibbleKernels.tableFloats(format.words());
    long turned = scratch.floats(Use.QUERIES, 2L * padded);
    long tables = scratch.floats(Use.VALUES, (long) group * tableFloats);
    for (int g = 0; g < group; g++) {
      long scaled = turned + 4L * padded;
      StepAttention.scale(queries + 4L * g * headDim, headDim, shape.scale(), scaled, padded);
      BitPlaneKeys.tables(format, book, scaled, turned, tables + 4L * g * tableFloats);
    }
    long codes = scratch.floats(Use.KEYS, (long) order.all() * BLOCK);
    int tokens = order.tokens();
    long sumBytes = 4L * tokens * BLOCK;
    long ofTokens = scratch.floats(Use.SUMS, (long) group * tokens * BLOCK);
    long square = scratch.floats(Use.WEIGHTS, TransposeKernels.SCRATCH_FLOATS);
    for (int chunk = 0; chunk < count; chunk += BLOCK) {
      int some = Math.min(BLOCK, count - chunk);
      long from = summaries + (long) chunk * format.bytes();
      TransposeKernels.words(from, format.bytes(), some, order.all(), codes, square);
      NibbleKernels.products(order, tables, group, codes, ofTokens);
      for (int g = 0; g < group; g++) {
        TokenKernels.logSumExp(
            ofTokens + g * sumBytes, tokens, some, products + g * stride + 4L * chunk, square);
      }
    }
  }

  /** That with the mean key. */
  @Override
  public double common(long query, float scale) {
    double sum = 0;
    for (int i = 0; i < format.headDim(); i++) {
      sum += (double) Memory.getFloat(query + 4L * i) * Memory.getFloat(book + 4L * i);
    }
    return scale * sum;
  }
}

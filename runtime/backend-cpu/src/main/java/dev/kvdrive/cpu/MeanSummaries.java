package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.MeanSummary;

/**
 * Mean keys.
 *
 * @param stride bytes from one to the next
 */
record MeanSummaries(MeanSummary format, int stride) implements Summaries {
  @Override
  public void write(long[] rows, long target, boolean first, ThreadScratch scratch) {
    int padded = KvRows.padded(format.headDim());
    long mean = scratch.floats(Use.SUMS, padded);
    mean(rows, mean, scratch.floats(Use.KEYS, (long) format.chunk() * padded));
    KvRowKernels.narrow(format.type(), mean, format.headDim(), target);
  }

  /**
   * The mean before it is rounded.
   *
   * @param mean address of a padded row
   * @param keys address of one for each token, where its key is written
   */
  void mean(long[] rows, long mean, long keys) {
    int padded = KvRows.padded(format.headDim());
    for (int t = 0; t < format.chunk(); t++) {
      long key = keys + 4L * t * padded;
      KvRowKernels.widen(format.type(), rows[t], 1, format.headDim(), key, padded);
    }
    SummaryKernels.mean(keys, format.chunk(), padded, format.share(), mean);
  }

  @Override
  public void products(
      AttentionShape shape,
      long queries,
      long summaries,
      int count,
      long products,
      long rowBytes,
      ThreadScratch scratch) {
    scaleQueries(shape, queries, scratch);
    int padded = KvRows.padded(shape.headDim());
    long keys = keys(padded, scratch);
    for (int from = 0; from < count; from += TokenKernels.BLOCK) {
      int some = Math.min(TokenKernels.BLOCK, count - from);
      long at = summaries + (long) from * stride;
      KvRowKernels.widen(format.type(), at, stride, some, shape.headDim(), keys, padded);
      products(shape, keys, some, products + 4L * from, rowBytes, scratch);
    }
  }

  /** The same of some of the summaries, in the order of {@code chosen}. */
  void products(
      AttentionShape shape,
      long queries,
      long summaries,
      int[] chosen,
      int count,
      long products,
      long rowBytes,
      ThreadScratch scratch) {
    scaleQueries(shape, queries, scratch);
    int padded = KvRows.padded(shape.headDim());
    long keys = keys(padded, scratch);
    for (int from = 0; from < count; from += TokenKernels.BLOCK) {
      int some = Math.min(TokenKernels.BLOCK, count - from);
      for (int i = 0; i < some; i++) {
        long at = summaries + (long) chosen[from + i] * stride;
        long to = keys + 4L * i * padded;
        KvRowKernels.widen(format.type(), at, 1, shape.headDim(), to, padded);
      }
      products(shape, keys, some, products + 4L * from, rowBytes, scratch);
    }
  }

  private static long keys(int padded, ThreadScratch scratch) {
    return scratch.floats(Use.KEYS, (long) TokenKernels.BLOCK * padded);
  }

  /** Scales the queries of a group to padded rows. */
  private static void scaleQueries(AttentionShape shape, long queries, ThreadScratch scratch) {
    int dim = shape.headDim();
    int padded = KvRows.padded(dim);
    long scaled = scratch.floats(Use.QUERIES, (long) shape.groupSize() * padded);
    for (int g = 0; g < shape.groupSize(); g++) {
      long to = scaled + 4L * g * padded;
      StepAttention.scale(queries + 4L * g * dim, dim, shape.scale(), to, padded);
    }
  }

  /** The products of the scaled queries with a block of keys. */
  private static void products(
      AttentionShape shape,
      long keys,
      int some,
      long products,
      long rowBytes,
      ThreadScratch scratch) {
    int padded = KvRows.padded(shape.headDim());
    long scaled = scratch.floats(Use.QUERIES, (long) shape.groupSize() * padded);
    for (int g = 0; g < shape.groupSize(); g++) {
      RowKernels.ofPadded(scaled + 4L * g * padded, keys, some, padded, products + g * rowBytes);
    }
  }
}

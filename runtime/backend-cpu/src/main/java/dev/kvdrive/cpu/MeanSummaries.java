package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.MeanSummary;
import java.util.function.IntToLongFunction;
import jdk.incubator.vector.FloatVector;

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
    mean(rows, mean, scratch.floats(Use.KEYS, padded));
    KvRows.narrow(format.type(), mean, format.headDim(), target);
  }

  /**
   * The mean before it is rounded.
   *
   * @param mean address of a padded row
   * @param key the same, overwritten
   */
  void mean(long[] rows, long mean, long key) {
    int padded = KvRows.padded(format.headDim());
    for (int i = 0; i < padded; i += Lanes.N) {
      Lanes.store(FloatVector.zero(Lanes.F), mean + 4L * i);
    }
    for (int t = 0; t < format.chunk(); t++) {
      KvRows.widen(format.type(), rows[t], 1, format.headDim(), key, padded);
      for (int i = 0; i < padded; i += Lanes.N) {
        Lanes.store(Lanes.load(mean + 4L * i).add(Lanes.load(key + 4L * i)), mean + 4L * i);
      }
    }
    for (int i = 0; i < padded; i += Lanes.N) {
      Lanes.store(Lanes.load(mean + 4L * i).mul(format.share()), mean + 4L * i);
    }
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
    products(
        shape, queries, i -> summaries + (long) i * stride, count, products, rowBytes, scratch);
  }

  /** The same with summaries that do not lie together. */
  void products(
      AttentionShape shape,
      long queries,
      IntToLongFunction summaries,
      int count,
      long products,
      long rowBytes,
      ThreadScratch scratch) {
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    long scaled = scratch.floats(Use.QUERIES, (long) shape.groupSize() * padded);
    for (int g = 0; g < shape.groupSize(); g++) {
      long to = scaled + 4L * g * padded;
      StepAttention.scale(queries + 4L * g * headDim, headDim, shape.scale(), to, padded);
    }
    long keys = scratch.floats(Use.KEYS, (long) TokenKernels.BLOCK * padded);
    for (int from = 0; from < count; from += TokenKernels.BLOCK) {
      int some = Math.min(TokenKernels.BLOCK, count - from);
      for (int i = 0; i < some; i++) {
        KvRows.widen(
            format.type(),
            summaries.applyAsLong(from + i),
            1,
            headDim,
            keys + 4L * i * padded,
            padded);
      }
      for (int g = 0; g < shape.groupSize(); g++) {
        long to = products + g * rowBytes + 4L * from;
        RowKernels.ofPadded(scaled + 4L * g * padded, keys, some, padded, to);
      }
    }
  }
}

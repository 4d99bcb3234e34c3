package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.MinMaxSummary;

/**
 * Smallest and largest elements of the keys of pages.
 *
 * @param chunk tokens of a chunk
 */
record MinMaxSummaries(MinMaxSummary format, int chunk) implements Summaries {
  @Override
  public void write(long[] rows, long target, boolean first, ThreadScratch scratch) {
    int width = format.headDim();
    int padded = KvRows.padded(width);
    long smallest = scratch.floats(Use.SUMS, 2L * padded);
    long largest = smallest + 4L * padded;
    long keys = scratch.floats(Use.KEYS, (long) chunk * padded);
    KvType type = format.type();
    if (!first) {
      KvRowKernels.widen(type, target, 1, width, smallest, padded);
      KvRowKernels.widen(type, target + format.largestOffset(), 1, width, largest, padded);
    }
    for (int t = 0; t < chunk; t++) {
      KvRowKernels.widen(type, rows[t], 1, width, keys + 4L * t * padded, padded);
    }
    SummaryKernels.bounds(keys, chunk, padded, first, smallest, largest);
    KvRowKernels.narrow(type, smallest, width, target);
    KvRowKernels.narrow(type, largest, width, target + format.largestOffset());
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
    int width = shape.headDim();
    int padded = KvRows.padded(width);
    int group = shape.groupSize();
    // What is positive of a query meets the largest elements, what is negative the smallest.
    long positive = scratch.floats(Use.QUERIES, 2L * group * padded);
    long negative = positive + 4L * group * padded;
    for (int g = 0; g < group; g++) {
      long up = positive + 4L * g * padded;
      StepAttention.scale(queries + 4L * g * width, width, shape.scale(), up, padded);
      SummaryKernels.bySign(up, padded, negative + 4L * g * padded);
    }
    KvType type = format.type();
    int block = TokenKernels.BLOCK;
    long largest = scratch.floats(Use.KEYS, (long) block * padded);
    long smallest = scratch.floats(Use.VALUES, (long) block * padded);
    long other = scratch.floats(Use.SUMS, block + Lanes.N);
    for (int from = 0; from < count; from += block) {
      int some = Math.min(block, count - from);
      long at = summaries + (long) from * format.bytes();
      KvRowKernels.widen(type, at, format.bytes(), some, width, smallest, padded);
      at += format.largestOffset();
      KvRowKernels.widen(type, at, format.bytes(), some, width, largest, padded);
      for (int g = 0; g < group; g++) {
        long to = products + g * stride + 4L * from;
        RowKernels.ofPadded(positive + 4L * g * padded, largest, some, padded, to);
        RowKernels.ofPadded(negative + 4L * g * padded, smallest, some, padded, other);
        SummaryKernels.add(other, some, to);
      }
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.MinMaxSummary;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

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
    long key = scratch.floats(Use.KEYS, padded);
    KvType type = format.type();
    if (!first) {
      KvRows.widen(type, target, 1, width, smallest, padded);
      KvRows.widen(type, target + format.largestOffset(), 1, width, largest, padded);
    }
    for (int t = 0; t < chunk; t++) {
      KvRows.widen(type, rows[t], 1, width, key, padded);
      for (long i = 0; i < 4L * padded; i += 4L * Lanes.N) {
        FloatVector x = Lanes.load(key + i);
        if (first && t == 0) {
          Lanes.store(x, smallest + i);
          Lanes.store(x, largest + i);
        } else {
          FloatVector low = Lanes.load(smallest + i);
          FloatVector high = Lanes.load(largest + i);
          Lanes.store(low.blend(x, x.compare(VectorOperators.LT, low)), smallest + i);
          Lanes.store(high.blend(x, x.compare(VectorOperators.GT, high)), largest + i);
        }
      }
    }
    KvRows.narrow(type, smallest, width, target);
    KvRows.narrow(type, largest, width, target + format.largestOffset());
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
      for (long i = 0; i < 4L * padded; i += 4L * Lanes.N) {
        FloatVector q = Lanes.load(up + i);
        Lanes.store(q.min(0), negative + 4L * g * padded + i);
        Lanes.store(q.max(0), up + i);
      }
    }
    int block = TokenKernels.BLOCK;
    long largest = scratch.floats(Use.KEYS, (long) block * padded);
    long smallest = scratch.floats(Use.VALUES, (long) block * padded);
    long other = scratch.floats(Use.SUMS, block + Lanes.N);
    for (int from = 0; from < count; from += block) {
      int some = Math.min(block, count - from);
      for (int i = 0; i < some; i++) {
        long at = summaries + (long) (from + i) * format.bytes();
        KvRows.widen(format.type(), at, 1, width, smallest + 4L * i * padded, padded);
        KvRows.widen(
            format.type(),
            at + format.largestOffset(),
            1,
            width,
            largest + 4L * i * padded,
            padded);
      }
      for (int g = 0; g < group; g++) {
        long to = products + g * stride + 4L * from;
        RowKernels.ofPadded(positive + 4L * g * padded, largest, some, padded, to);
        RowKernels.ofPadded(negative + 4L * g * padded, smallest, some, padded, other);
        for (long i = 0; i < 4L * some; i += 4L * Lanes.N) {
          Lanes.store(Lanes.load(to + i).add(Lanes.load(other + i)), to + i);
        }
      }
    }
  }
}

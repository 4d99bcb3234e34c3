package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.plan.LandmarkSummary;
import dev.kvdrive.plan.MeanSummary;

/** Mean keys and lowest cosines. */
record LandmarkSummaries(LandmarkSummary format, MeanSummaries means) implements Summaries {
  LandmarkSummaries(LandmarkSummary format) {
    this(format, new MeanSummaries(format.mean(), format.bytes()));
  }

  @Override
  public void write(long[] rows, long target, boolean first, ThreadScratch scratch) {
    MeanSummary of = format.mean();
    int width = of.headDim();
    int padded = KvRows.padded(width);
    long mean = scratch.floats(Use.SUMS, padded);
    long keys = scratch.floats(Use.KEYS, (long) of.chunk() * padded);
    means.mean(rows, mean, keys);
    KvRowKernels.narrow(of.type(), mean, width, target);
    float ofMean = (float) Math.sqrt(product(mean, mean, width));
    float lowest = 1;
    for (int t = 0; t < of.chunk(); t++) {
      long key = keys + 4L * t * padded;
      float lengths = ofMean * (float) Math.sqrt(product(key, key, width));
      float cosine = lengths == 0 ? 1 : product(mean, key, width) / lengths;
      lowest = cosine < lowest ? cosine : lowest;
    }
    Memory.putFloat(target + format.cosineOffset(), lowest);
  }

  /** In ascending order of elements, each step fused. */
  private static float product(long a, long b, int width) {
    float sum = 0;
    for (int i = 0; i < width; i++) {
      sum = Math.fma(Memory.getFloat(a + 4L * i), Memory.getFloat(b + 4L * i), sum);
    }
    return sum;
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
    means.products(shape, queries, summaries, count, products, stride, scratch);
  }
}

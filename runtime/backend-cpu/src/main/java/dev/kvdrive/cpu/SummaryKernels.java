package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * What summaries are made of, and products with them beside those of {@link RowKernels}: rows of
 * floats at addresses, padded to whole vectors. Kernels: see {@link Lanes}.
 */
final class SummaryKernels {
  private SummaryKernels() {}

  /** Writes the mean of {@code rows} padded rows, which are added in their order. */
  static void mean(long keys, int rows, int padded, float share, long mean) {
    for (long i = 0; i < 4L * padded; i += 4L * Lanes.N) {
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (int row = 0; row < rows; row++) {
        sum = sum.add(Lanes.load(keys + 4L * row * padded + i));
      }
      Lanes.store(sum.mul(share), mean + i);
    }
  }

  /** Takes {@code rows} padded rows, one at least, into the smallest and largest of elements. */
  static void bounds(long keys, int rows, int padded, boolean first, long smallest, long largest) {
    for (long i = 0; i < 4L * padded; i += 4L * Lanes.N) {
      FloatVector low = Lanes.load((first ? keys : smallest) + i);
      FloatVector high = Lanes.load((first ? keys : largest) + i);
      for (int row = first ? 1 : 0; row < rows; row++) {
        FloatVector x = Lanes.load(keys + 4L * row * padded + i);
        low = low.blend(x, x.compare(VectorOperators.LT, low));
        high = high.blend(x, x.compare(VectorOperators.GT, high));
      }
      Lanes.store(low, smallest + i);
      Lanes.store(high, largest + i);
    }
  }

  /** Writes what is negative of a row, and leaves in it what is positive. */
  static void bySign(long row, int padded, long negative) {
    for (long i = 0; i < 4L * padded; i += 4L * Lanes.N) {
      FloatVector x = Lanes.load(row + i);
      Lanes.store(x.min(0), negative + i);
      Lanes.store(x.max(0), row + i);
    }
  }

  /** Adds {@code count} floats, and up to a vector behind them. */
  static void add(long x, int count, long to) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      Lanes.store(Lanes.load(to + i).add(Lanes.load(x + i)), to + i);
    }
  }

  /** Multiplies {@code count} floats of each of {@code rows}, {@code stride} floats apart. */
  static void multiply(long x, int rows, int stride, int count, long by) {
    for (int row = 0; row < rows; row++) {
      for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
        long at = 4L * row * stride + i;
        Lanes.store(Lanes.load(x + at).mul(Lanes.load(by + at)), x + at);
      }
    }
  }

  /** {@code out[i] = sum of matrix[j][i] * in[j]}, each a chain of fused steps in order of j. */
  static void product(long matrix, long in, int width, long out) {
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (int j = 0; j < width; j++) {
        FloatVector row = Lanes.load(matrix + 4L * ((long) j * width + i));
        sum = row.fma(FloatVector.broadcast(Lanes.F, Memory.getFloat(in + 4L * j)), sum);
      }
      Lanes.store(sum, out + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      float sum = 0;
      for (int j = 0; j < width; j++) {
        sum =
            Math.fma(
                Memory.getFloat(matrix + 4L * ((long) j * width + i)),
                Memory.getFloat(in + 4L * j),
                sum);
      }
      Memory.putFloat(out + 4L * i, sum);
    }
  }
}

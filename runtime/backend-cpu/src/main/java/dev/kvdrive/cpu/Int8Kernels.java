package dev.kvdrive.cpu;

import dev.kvdrive.plan.ChunkLayout;
import jdk.incubator.vector.FloatVector;

/**
 * Products of keys of a byte an element with queries: those of codes, multiplied with the step at
 * the end, so that a row is read and converted once for two queries. Kernels: see {@link Lanes}.
 */
final class Int8Kernels {
  private Int8Kernels() {}

  /**
   * Products of the keys of a chunk with a query, in their order.
   *
   * @param keys address of the half
   * @param query padded floats from {@code q}, the padding 0
   * @param target a float for each token from {@code at}; up to a vector is written behind them
   */
  static void products(
      ChunkLayout layout, long keys, float[] query, int q, float[] target, int at) {
    int width = layout.headDim();
    int rows = layout.chunk();
    int four = width % Lanes.N == 0 ? rows - rows % Lanes.KEYS : 0;
    ofCodes(keys, four, width, query, q, target, at);
    for (int row = four; row < rows; row++) {
      target[at + row] = product(keys + (long) row * width, width, query, q);
    }
    scale(layout, keys, target, at);
  }

  /**
   * {@link #products} of two queries, which read every key once.
   *
   * @param queryStride from one query to the other
   * @param targetStride from the results of one to those of the other
   */
  static void products2(
      ChunkLayout layout,
      long keys,
      float[] query,
      int q,
      int queryStride,
      float[] target,
      int at,
      int targetStride) {
    int width = layout.headDim();
    int rows = layout.chunk();
    int four = width % Lanes.N == 0 ? rows - rows % Lanes.KEYS : 0;
    twoOfCodes(keys, four, width, query, q, queryStride, target, at, targetStride);
    for (int row = four; row < rows; row++) {
      long key = keys + (long) row * width;
      target[at + row] = product(key, width, query, q);
      target[at + targetStride + row] = product(key, width, query, q + queryStride);
    }
    scale(layout, keys, target, at);
    scale(layout, keys, target, at + targetStride);
  }

  private static void ofCodes(
      long keys, int rows, int width, float[] query, int q, float[] target, int at) {
    for (int row = 0; row < rows; row += Lanes.KEYS) {
      final long a = keys + (long) row * width;
      final long b = a + width;
      final long c = b + width;
      final long d = c + width;
      FloatVector sumA = FloatVector.zero(Lanes.F);
      FloatVector sumB = sumA;
      FloatVector sumC = sumA;
      FloatVector sumD = sumA;
      for (int i = 0; i < width; i += Lanes.N) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + i);
        sumA = x.fma(Lanes.loadBytes(a + i), sumA);
        sumB = x.fma(Lanes.loadBytes(b + i), sumB);
        sumC = x.fma(Lanes.loadBytes(c + i), sumC);
        sumD = x.fma(Lanes.loadBytes(d + i), sumD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
    }
  }

  private static void twoOfCodes(
      long keys,
      int rows,
      int width,
      float[] query,
      int q,
      int queryStride,
      float[] target,
      int at,
      int targetStride) {
    for (int row = 0; row < rows; row += Lanes.KEYS) {
      final long a = keys + (long) row * width;
      final long b = a + width;
      final long c = b + width;
      final long d = c + width;
      FloatVector sumA = FloatVector.zero(Lanes.F);
      FloatVector sumB = sumA;
      FloatVector sumC = sumA;
      FloatVector sumD = sumA;
      FloatVector otherA = sumA;
      FloatVector otherB = sumA;
      FloatVector otherC = sumA;
      FloatVector otherD = sumA;
      for (int i = 0; i < width; i += Lanes.N) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + i);
        FloatVector y = FloatVector.fromArray(Lanes.F, query, q + queryStride + i);
        FloatVector key = Lanes.loadBytes(a + i);
        sumA = x.fma(key, sumA);
        otherA = y.fma(key, otherA);
        key = Lanes.loadBytes(b + i);
        sumB = x.fma(key, sumB);
        otherB = y.fma(key, otherB);
        key = Lanes.loadBytes(c + i);
        sumC = x.fma(key, sumC);
        otherC = y.fma(key, otherC);
        key = Lanes.loadBytes(d + i);
        sumD = x.fma(key, sumD);
        otherD = y.fma(key, otherD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
      Lanes.sums4(otherA, otherB, otherC, otherD).intoArray(target, at + targetStride + row);
    }
  }

  private static float product(long key, int width, float[] query, int q) {
    FloatVector sum = FloatVector.zero(Lanes.F);
    int i = 0;
    for (; i + Lanes.N <= width; i += Lanes.N) {
      sum = FloatVector.fromArray(Lanes.F, query, q + i).fma(Lanes.loadBytes(key + i), sum);
    }
    if (i < width) {
      FloatVector rest = Lanes.firstBytes(key + i, width - i);
      sum = FloatVector.fromArray(Lanes.F, query, q + i).fma(rest, sum);
    }
    return Lanes.sum(sum);
  }

  private static void scale(ChunkLayout layout, long keys, float[] target, int at) {
    for (int t = 0; t < layout.chunk(); t++) {
      target[at + t] *= Int8Rows.step(layout, keys, t);
    }
  }
}

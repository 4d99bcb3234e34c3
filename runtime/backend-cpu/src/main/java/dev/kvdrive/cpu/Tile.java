package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;

/**
 * Small F32 matrix products, the inner loops of dense attention. Every element of the result is
 * summed in the order of the depth with fused multiply-adds, whatever its place in a tile.
 */
final class Tile {
  /** Columns of a tile; widths are multiples of it. */
  static final int COLUMNS = 2 * Lanes.N;

  private static final int ROWS = 4;

  private Tile() {}

  /**
   * {@code c += a * b}.
   *
   * @param a address of {@code rows} rows of {@code depth} floats
   * @param aStride bytes from one of its rows to the next
   * @param b address of {@code depth} rows of {@code width} floats
   * @param bStride bytes from one of its rows to the next
   * @param c address of {@code rows} rows of {@code width} floats
   * @param cStride bytes from one of its rows to the next
   */
  static void multiplyAdd(
      long a,
      long aStride,
      int rows,
      long b,
      long bStride,
      int depth,
      int width,
      long c,
      long cStride) {
    int row = 0;
    for (; row + ROWS <= rows; row += ROWS) {
      for (int column = 0; column < width; column += COLUMNS) {
        four(
            a + row * aStride,
            aStride,
            b + 4L * column,
            bStride,
            depth,
            c + row * cStride + 4L * column,
            cStride);
      }
    }
    for (; row < rows; row++) {
      for (int column = 0; column < width; column += COLUMNS) {
        one(a + row * aStride, b + 4L * column, bStride, depth, c + row * cStride + 4L * column);
      }
    }
  }

  private static void four(
      long a, long aStride, long b, long bStride, int depth, long c, long cStride) {
    final long a1 = a + aStride;
    final long a2 = a1 + aStride;
    final long a3 = a2 + aStride;
    final long c1 = c + cStride;
    final long c2 = c1 + cStride;
    final long c3 = c2 + cStride;
    final long half = 4L * Lanes.N;
    FloatVector sum00 = Lanes.load(c);
    FloatVector sum01 = Lanes.load(c + half);
    FloatVector sum10 = Lanes.load(c1);
    FloatVector sum11 = Lanes.load(c1 + half);
    FloatVector sum20 = Lanes.load(c2);
    FloatVector sum21 = Lanes.load(c2 + half);
    FloatVector sum30 = Lanes.load(c3);
    FloatVector sum31 = Lanes.load(c3 + half);
    for (int k = 0; k < depth; k++) {
      long at = b + k * bStride;
      FloatVector b0 = Lanes.load(at);
      FloatVector b1 = Lanes.load(at + half);
      FloatVector x = FloatVector.broadcast(Lanes.F, Memory.getFloat(a + 4L * k));
      sum00 = x.fma(b0, sum00);
      sum01 = x.fma(b1, sum01);
      x = FloatVector.broadcast(Lanes.F, Memory.getFloat(a1 + 4L * k));
      sum10 = x.fma(b0, sum10);
      sum11 = x.fma(b1, sum11);
      x = FloatVector.broadcast(Lanes.F, Memory.getFloat(a2 + 4L * k));
      sum20 = x.fma(b0, sum20);
      sum21 = x.fma(b1, sum21);
      x = FloatVector.broadcast(Lanes.F, Memory.getFloat(a3 + 4L * k));
      sum30 = x.fma(b0, sum30);
      sum31 = x.fma(b1, sum31);
    }
    Lanes.store(sum00, c);
    Lanes.store(sum01, c + half);
    Lanes.store(sum10, c1);
    Lanes.store(sum11, c1 + half);
    Lanes.store(sum20, c2);
    Lanes.store(sum21, c2 + half);
    Lanes.store(sum30, c3);
    Lanes.store(sum31, c3 + half);
  }

  private static void one(long a, long b, long bStride, int depth, long c) {
    final long half = 4L * Lanes.N;
    FloatVector sum0 = Lanes.load(c);
    FloatVector sum1 = Lanes.load(c + half);
    for (int k = 0; k < depth; k++) {
      long at = b + k * bStride;
      FloatVector x = FloatVector.broadcast(Lanes.F, Memory.getFloat(a + 4L * k));
      sum0 = x.fma(Lanes.load(at), sum0);
      sum1 = x.fma(Lanes.load(at + half), sum1);
    }
    Lanes.store(sum0, c);
    Lanes.store(sum1, c + half);
  }
}

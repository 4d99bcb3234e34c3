package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;

/**
 * Small F32 matrix products, the inner loops of dense attention. Every element of the result is
 * summed in the order of the depth with fused multiply-adds, whatever its place in a tile.
 *
 * <p>The right-hand matrix lies in panels of {@link #COLUMNS} columns: {@code
 * [width/COLUMNS][maxDepth][COLUMNS]}. Operands are Java arrays because the bounds of their
 * accesses are checked once ahead of a loop, those of memory segments in every step.
 */
final class TileKernels {
  /** Columns of a panel. */
  static final int COLUMNS = 2 * Lanes.N;

  private static final int ROWS = 4;
  private static final int N = Lanes.N;

  private TileKernels() {}

  /**
   * {@code c += a * b}.
   *
   * @param a {@code rows} rows of {@code depth} floats, {@code aStride} from one to the next
   * @param panels of {@code b}, the first at {@code panelsAt}
   * @param panelFloats from one panel to the next
   * @param depth how many of a panel's rows take part
   * @param width columns, whole panels
   * @param c {@code rows} rows of {@code width} floats, {@code cStride} from one to the next
   */
  static void multiplyAdd(
      float[] a,
      int aAt,
      int aStride,
      int rows,
      float[] panels,
      int panelsAt,
      int panelFloats,
      int depth,
      int width,
      float[] c,
      int cAt,
      int cStride) {
    int row = 0;
    for (; row + ROWS <= rows; row += ROWS) {
      for (int column = 0, b = panelsAt; column < width; column += COLUMNS, b += panelFloats) {
        four(
            a,
            aAt + row * aStride,
            aStride,
            panels,
            b,
            depth,
            c,
            cAt + row * cStride + column,
            cStride);
      }
    }
    for (int column = 0, b = panelsAt; column < width; column += COLUMNS, b += panelFloats) {
      int from = aAt + row * aStride;
      int to = cAt + row * cStride + column;
      switch (rows - row) {
        case 1 -> one(a, from, panels, b, depth, c, to);
        case 2 -> two(a, from, aStride, panels, b, depth, c, to, cStride);
        case 3 -> three(a, from, aStride, panels, b, depth, c, to, cStride);
        default -> {}
      }
    }
  }

  private static void four(
      float[] a, int a0, int aStride, float[] b, int bAt, int depth, float[] c, int c0, int cs) {
    final int a1 = a0 + aStride;
    final int a2 = a1 + aStride;
    final int a3 = a2 + aStride;
    final int c1 = c0 + cs;
    final int c2 = c1 + cs;
    final int c3 = c2 + cs;
    FloatVector sum00 = FloatVector.fromArray(Lanes.F, c, c0);
    FloatVector sum01 = FloatVector.fromArray(Lanes.F, c, c0 + N);
    FloatVector sum10 = FloatVector.fromArray(Lanes.F, c, c1);
    FloatVector sum11 = FloatVector.fromArray(Lanes.F, c, c1 + N);
    FloatVector sum20 = FloatVector.fromArray(Lanes.F, c, c2);
    FloatVector sum21 = FloatVector.fromArray(Lanes.F, c, c2 + N);
    FloatVector sum30 = FloatVector.fromArray(Lanes.F, c, c3);
    FloatVector sum31 = FloatVector.fromArray(Lanes.F, c, c3 + N);
    for (int k = 0; k < depth; k++) {
      FloatVector b0 = FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS);
      FloatVector b1 = FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS + N);
      FloatVector x = FloatVector.broadcast(Lanes.F, a[a0 + k]);
      sum00 = x.fma(b0, sum00);
      sum01 = x.fma(b1, sum01);
      x = FloatVector.broadcast(Lanes.F, a[a1 + k]);
      sum10 = x.fma(b0, sum10);
      sum11 = x.fma(b1, sum11);
      x = FloatVector.broadcast(Lanes.F, a[a2 + k]);
      sum20 = x.fma(b0, sum20);
      sum21 = x.fma(b1, sum21);
      x = FloatVector.broadcast(Lanes.F, a[a3 + k]);
      sum30 = x.fma(b0, sum30);
      sum31 = x.fma(b1, sum31);
    }
    sum00.intoArray(c, c0);
    sum01.intoArray(c, c0 + N);
    sum10.intoArray(c, c1);
    sum11.intoArray(c, c1 + N);
    sum20.intoArray(c, c2);
    sum21.intoArray(c, c2 + N);
    sum30.intoArray(c, c3);
    sum31.intoArray(c, c3 + N);
  }

  private static void three(
      float[] a, int a0, int aStride, float[] b, int bAt, int depth, float[] c, int c0, int cs) {
    final int a1 = a0 + aStride;
    final int a2 = a1 + aStride;
    final int c1 = c0 + cs;
    final int c2 = c1 + cs;
    FloatVector sum00 = FloatVector.fromArray(Lanes.F, c, c0);
    FloatVector sum01 = FloatVector.fromArray(Lanes.F, c, c0 + N);
    FloatVector sum10 = FloatVector.fromArray(Lanes.F, c, c1);
    FloatVector sum11 = FloatVector.fromArray(Lanes.F, c, c1 + N);
    FloatVector sum20 = FloatVector.fromArray(Lanes.F, c, c2);
    FloatVector sum21 = FloatVector.fromArray(Lanes.F, c, c2 + N);
    for (int k = 0; k < depth; k++) {
      FloatVector b0 = FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS);
      FloatVector b1 = FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS + N);
      FloatVector x = FloatVector.broadcast(Lanes.F, a[a0 + k]);
      sum00 = x.fma(b0, sum00);
      sum01 = x.fma(b1, sum01);
      x = FloatVector.broadcast(Lanes.F, a[a1 + k]);
      sum10 = x.fma(b0, sum10);
      sum11 = x.fma(b1, sum11);
      x = FloatVector.broadcast(Lanes.F, a[a2 + k]);
      sum20 = x.fma(b0, sum20);
      sum21 = x.fma(b1, sum21);
    }
    sum00.intoArray(c, c0);
    sum01.intoArray(c, c0 + N);
    sum10.intoArray(c, c1);
    sum11.intoArray(c, c1 + N);
    sum20.intoArray(c, c2);
    sum21.intoArray(c, c2 + N);
  }

  private static void two(
      float[] a, int a0, int aStride, float[] b, int bAt, int depth, float[] c, int c0, int cs) {
    final int a1 = a0 + aStride;
    final int c1 = c0 + cs;
    FloatVector sum00 = FloatVector.fromArray(Lanes.F, c, c0);
    FloatVector sum01 = FloatVector.fromArray(Lanes.F, c, c0 + N);
    FloatVector sum10 = FloatVector.fromArray(Lanes.F, c, c1);
    FloatVector sum11 = FloatVector.fromArray(Lanes.F, c, c1 + N);
    for (int k = 0; k < depth; k++) {
      FloatVector b0 = FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS);
      FloatVector b1 = FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS + N);
      FloatVector x = FloatVector.broadcast(Lanes.F, a[a0 + k]);
      sum00 = x.fma(b0, sum00);
      sum01 = x.fma(b1, sum01);
      x = FloatVector.broadcast(Lanes.F, a[a1 + k]);
      sum10 = x.fma(b0, sum10);
      sum11 = x.fma(b1, sum11);
    }
    sum00.intoArray(c, c0);
    sum01.intoArray(c, c0 + N);
    sum10.intoArray(c, c1);
    sum11.intoArray(c, c1 + N);
  }

  private static void one(float[] a, int a0, float[] b, int bAt, int depth, float[] c, int c0) {
    FloatVector sum0 = FloatVector.fromArray(Lanes.F, c, c0);
    FloatVector sum1 = FloatVector.fromArray(Lanes.F, c, c0 + N);
    for (int k = 0; k < depth; k++) {
      FloatVector x = FloatVector.broadcast(Lanes.F, a[a0 + k]);
      sum0 = x.fma(FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS), sum0);
      sum1 = x.fma(FloatVector.fromArray(Lanes.F, b, bAt + k * COLUMNS + N), sum1);
    }
    sum0.intoArray(c, c0);
    sum1.intoArray(c, c0 + N);
  }
}

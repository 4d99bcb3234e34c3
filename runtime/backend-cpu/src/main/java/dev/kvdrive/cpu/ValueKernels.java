package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;

/**
 * Weighted sums of rows of values in bf16, straight from where they lie: for few queries, which
 * would not make up for the way over {@link TileKernels}' panels. Every element is summed in the
 * order of the rows with fused multiply-adds, so that the bits are those of {@link
 * TileKernels#multiplyAdd}. Kernels: see {@link Lanes}.
 */
final class ValueKernels {
  /** Queries that are taken at once, at most. */
  static final int QUERIES = 3;

  private static final int N = Lanes.N;

  /** Columns that one or two queries take at once; three take half of them. */
  private static final int COLUMNS = 4 * N;

  private ValueKernels() {}

  /** Whether rows of that many elements can be added for so many queries. */
  static boolean take(int queries, int width) {
    return queries <= QUERIES && width % (queries == QUERIES ? COLUMNS / 2 : COLUMNS) == 0;
  }

  /**
   * Adds rows to the sums of all queries.
   *
   * @param rows address of the first row of each unit
   * @param units first token of each unit, and behind the last; rows of a unit lie one behind the
   *     other
   * @param from first unit
   * @param to behind the last
   * @param weights of all tokens for each query, {@code stride} from one query to the next
   * @param queries for which {@link #take} is true
   * @param width elements of a row
   * @param sums {@code [queries][width]}
   */
  static void add(
      long[] rows,
      int[] units,
      int from,
      int to,
      float[] weights,
      int stride,
      int queries,
      int width,
      float[] sums) {
    switch (queries) {
      case 1 -> one(rows, units, from, to, weights, width, sums);
      case 2 -> two(rows, units, from, to, weights, stride, width, sums);
      default -> three(rows, units, from, to, weights, stride, width, sums);
    }
  }

  private static void one(
      long[] rows, int[] units, int from, int to, float[] weights, int width, float[] sums) {
    for (int column = 0; column < width; column += COLUMNS) {
      FloatVector sumA = FloatVector.fromArray(Lanes.F, sums, column);
      FloatVector sumB = FloatVector.fromArray(Lanes.F, sums, column + N);
      FloatVector sumC = FloatVector.fromArray(Lanes.F, sums, column + 2 * N);
      FloatVector sumD = FloatVector.fromArray(Lanes.F, sums, column + 3 * N);
      for (int unit = from; unit < to; unit++) {
        long row = rows[unit] + 2L * column;
        for (int t = units[unit]; t < units[unit + 1]; t++) {
          FloatVector x = FloatVector.broadcast(Lanes.F, weights[t]);
          sumA = x.fma(Lanes.loadBfloat16(row), sumA);
          sumB = x.fma(Lanes.loadBfloat16(row + 2L * N), sumB);
          sumC = x.fma(Lanes.loadBfloat16(row + 4L * N), sumC);
          sumD = x.fma(Lanes.loadBfloat16(row + 6L * N), sumD);
          row += 2L * width;
        }
      }
      sumA.intoArray(sums, column);
      sumB.intoArray(sums, column + N);
      sumC.intoArray(sums, column + 2 * N);
      sumD.intoArray(sums, column + 3 * N);
    }
  }

  private static void two(
      long[] rows,
      int[] units,
      int from,
      int to,
      float[] weights,
      int stride,
      int width,
      float[] sums) {
    for (int column = 0; column < width; column += COLUMNS) {
      int other = width + column;
      FloatVector sumA = FloatVector.fromArray(Lanes.F, sums, column);
      FloatVector sumB = FloatVector.fromArray(Lanes.F, sums, column + N);
      FloatVector sumC = FloatVector.fromArray(Lanes.F, sums, column + 2 * N);
      FloatVector sumD = FloatVector.fromArray(Lanes.F, sums, column + 3 * N);
      FloatVector otherA = FloatVector.fromArray(Lanes.F, sums, other);
      FloatVector otherB = FloatVector.fromArray(Lanes.F, sums, other + N);
      FloatVector otherC = FloatVector.fromArray(Lanes.F, sums, other + 2 * N);
      FloatVector otherD = FloatVector.fromArray(Lanes.F, sums, other + 3 * N);
      for (int unit = from; unit < to; unit++) {
        long row = rows[unit] + 2L * column;
        for (int t = units[unit]; t < units[unit + 1]; t++) {
          FloatVector x = FloatVector.broadcast(Lanes.F, weights[t]);
          FloatVector y = FloatVector.broadcast(Lanes.F, weights[stride + t]);
          FloatVector value = Lanes.loadBfloat16(row);
          sumA = x.fma(value, sumA);
          otherA = y.fma(value, otherA);
          value = Lanes.loadBfloat16(row + 2L * N);
          sumB = x.fma(value, sumB);
          otherB = y.fma(value, otherB);
          value = Lanes.loadBfloat16(row + 4L * N);
          sumC = x.fma(value, sumC);
          otherC = y.fma(value, otherC);
          value = Lanes.loadBfloat16(row + 6L * N);
          sumD = x.fma(value, sumD);
          otherD = y.fma(value, otherD);
          row += 2L * width;
        }
      }
      sumA.intoArray(sums, column);
      sumB.intoArray(sums, column + N);
      sumC.intoArray(sums, column + 2 * N);
      sumD.intoArray(sums, column + 3 * N);
      otherA.intoArray(sums, other);
      otherB.intoArray(sums, other + N);
      otherC.intoArray(sums, other + 2 * N);
      otherD.intoArray(sums, other + 3 * N);
    }
  }

  private static void three(
      long[] rows,
      int[] units,
      int from,
      int to,
      float[] weights,
      int stride,
      int width,
      float[] sums) {
    for (int column = 0; column < width; column += COLUMNS / 2) {
      int second = width + column;
      int third = width + second;
      FloatVector sum0A = FloatVector.fromArray(Lanes.F, sums, column);
      FloatVector sum0B = FloatVector.fromArray(Lanes.F, sums, column + N);
      FloatVector sum1A = FloatVector.fromArray(Lanes.F, sums, second);
      FloatVector sum1B = FloatVector.fromArray(Lanes.F, sums, second + N);
      FloatVector sum2A = FloatVector.fromArray(Lanes.F, sums, third);
      FloatVector sum2B = FloatVector.fromArray(Lanes.F, sums, third + N);
      for (int unit = from; unit < to; unit++) {
        long row = rows[unit] + 2L * column;
        for (int t = units[unit]; t < units[unit + 1]; t++) {
          FloatVector valueA = Lanes.loadBfloat16(row);
          FloatVector valueB = Lanes.loadBfloat16(row + 2L * N);
          FloatVector x = FloatVector.broadcast(Lanes.F, weights[t]);
          sum0A = x.fma(valueA, sum0A);
          sum0B = x.fma(valueB, sum0B);
          x = FloatVector.broadcast(Lanes.F, weights[stride + t]);
          sum1A = x.fma(valueA, sum1A);
          sum1B = x.fma(valueB, sum1B);
          x = FloatVector.broadcast(Lanes.F, weights[2 * stride + t]);
          sum2A = x.fma(valueA, sum2A);
          sum2B = x.fma(valueB, sum2B);
          row += 2L * width;
        }
      }
      sum0A.intoArray(sums, column);
      sum0B.intoArray(sums, column + N);
      sum1A.intoArray(sums, second);
      sum1B.intoArray(sums, second + N);
      sum2A.intoArray(sums, third);
      sum2B.intoArray(sums, third + N);
    }
  }
}

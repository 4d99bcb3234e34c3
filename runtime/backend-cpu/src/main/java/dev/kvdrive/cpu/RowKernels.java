package dev.kvdrive.cpu;

import dev.kvdrive.plan.KvType;
import jdk.incubator.vector.FloatVector;

/**
 * Products of rows with queries. Kernels: see {@link Lanes}. One for each type of row, since the
 * loads of both in one would be more than the compiler takes.
 */
final class RowKernels {
  private RowKernels() {}

  /**
   * Products of {@code rows} padded rows with one padded query, in order of the rows.
   *
   * @param target address of {@code rows} floats; up to a vector is written behind them
   */
  static void ofPadded(long query, long keys, int rows, int padded, long target) {
    long stride = 4L * padded;
    int row = 0;
    for (; row + Lanes.KEYS <= rows; row += Lanes.KEYS) {
      long a = keys + row * stride;
      long b = a + stride;
      long c = b + stride;
      long d = c + stride;
      FloatVector q = Lanes.load(query);
      FloatVector sumA = q.mul(Lanes.load(a));
      FloatVector sumB = q.mul(Lanes.load(b));
      FloatVector sumC = q.mul(Lanes.load(c));
      FloatVector sumD = q.mul(Lanes.load(d));
      for (long i = 4L * Lanes.N; i < stride; i += 4L * Lanes.N) {
        q = Lanes.load(query + i);
        sumA = q.fma(Lanes.load(a + i), sumA);
        sumB = q.fma(Lanes.load(b + i), sumB);
        sumC = q.fma(Lanes.load(c + i), sumC);
        sumD = q.fma(Lanes.load(d + i), sumD);
      }
      Lanes.store(Lanes.sums4(sumA, sumB, sumC, sumD), target + 4L * row);
    }
    for (; row < rows; row++) {
      long a = keys + row * stride;
      FloatVector sum = Lanes.load(query).mul(Lanes.load(a));
      for (long i = 4L * Lanes.N; i < stride; i += 4L * Lanes.N) {
        sum = Lanes.load(query + i).fma(Lanes.load(a + i), sum);
      }
      Memory.putFloat(target + 4L * row, Lanes.sum(sum));
    }
  }

  /**
   * Products of rows with a query, in order of the rows; each has the bits of {@link #ofPadded} but
   * for the sign of a zero.
   *
   * @param keys address of {@code rows} rows of {@code width} elements
   * @param query padded floats from {@code q}, the padding 0
   * @param target {@code rows} floats from {@code at}; up to a vector is written behind them
   */
  static void products(
      KvType type, long keys, int rows, int width, float[] query, int q, float[] target, int at) {
    int four = width % Lanes.N == 0 ? rows - rows % Lanes.KEYS : 0;
    if (type == KvType.BF16) {
      ofBfloat16(keys, four, width, query, q, target, at);
    } else {
      ofFloats(keys, four, width, query, q, target, at);
    }
    for (int row = four; row < rows; row++) {
      target[at + row] = product(type, keys + (long) row * width * type.bytes(), width, query, q);
    }
  }

  /**
   * {@link #products} of two queries, which read every key once.
   *
   * @param queryStride from one query to the other
   * @param targetStride from the results of one to those of the other
   */
  static void products2(
      KvType type,
      long keys,
      int rows,
      int width,
      float[] query,
      int q,
      int queryStride,
      float[] target,
      int at,
      int targetStride) {
    int four = width % Lanes.N == 0 ? rows - rows % Lanes.KEYS : 0;
    if (type == KvType.BF16) {
      twoOfBfloat16(keys, four, width, query, q, queryStride, target, at, targetStride);
    } else {
      twoOfFloats(keys, four, width, query, q, queryStride, target, at, targetStride);
    }
    if (four < rows) {
      long rest = keys + (long) four * width * type.bytes();
      int other = at + targetStride + four;
      products(type, rest, rows - four, width, query, q, target, at + four);
      products(type, rest, rows - four, width, query, q + queryStride, target, other);
    }
  }

  private static void ofBfloat16(
      long keys, int rows, int width, float[] query, int q, float[] target, int at) {
    long stride = 2L * width;
    for (int row = 0; row < rows; row += Lanes.KEYS) {
      final long a = keys + row * stride;
      final long b = a + stride;
      final long c = b + stride;
      final long d = c + stride;
      FloatVector sumA = FloatVector.zero(Lanes.F);
      FloatVector sumB = sumA;
      FloatVector sumC = sumA;
      FloatVector sumD = sumA;
      for (int i = 0; i < width; i += Lanes.N) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + i);
        sumA = x.fma(Lanes.loadBfloat16(a + 2L * i), sumA);
        sumB = x.fma(Lanes.loadBfloat16(b + 2L * i), sumB);
        sumC = x.fma(Lanes.loadBfloat16(c + 2L * i), sumC);
        sumD = x.fma(Lanes.loadBfloat16(d + 2L * i), sumD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
    }
  }

  private static void twoOfBfloat16(
      long keys,
      int rows,
      int width,
      float[] query,
      int q,
      int queryStride,
      float[] target,
      int at,
      int targetStride) {
    long stride = 2L * width;
    for (int row = 0; row < rows; row += Lanes.KEYS) {
      final long a = keys + row * stride;
      final long b = a + stride;
      final long c = b + stride;
      final long d = c + stride;
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
        FloatVector key = Lanes.loadBfloat16(a + 2L * i);
        sumA = x.fma(key, sumA);
        otherA = y.fma(key, otherA);
        key = Lanes.loadBfloat16(b + 2L * i);
        sumB = x.fma(key, sumB);
        otherB = y.fma(key, otherB);
        key = Lanes.loadBfloat16(c + 2L * i);
        sumC = x.fma(key, sumC);
        otherC = y.fma(key, otherC);
        key = Lanes.loadBfloat16(d + 2L * i);
        sumD = x.fma(key, sumD);
        otherD = y.fma(key, otherD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
      Lanes.sums4(otherA, otherB, otherC, otherD).intoArray(target, at + targetStride + row);
    }
  }

  private static void ofFloats(
      long keys, int rows, int width, float[] query, int q, float[] target, int at) {
    long stride = 4L * width;
    for (int row = 0; row < rows; row += Lanes.KEYS) {
      final long a = keys + row * stride;
      final long b = a + stride;
      final long c = b + stride;
      final long d = c + stride;
      FloatVector sumA = FloatVector.zero(Lanes.F);
      FloatVector sumB = sumA;
      FloatVector sumC = sumA;
      FloatVector sumD = sumA;
      for (int i = 0; i < width; i += Lanes.N) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + i);
        sumA = x.fma(Lanes.load(a + 4L * i), sumA);
        sumB = x.fma(Lanes.load(b + 4L * i), sumB);
        sumC = x.fma(Lanes.load(c + 4L * i), sumC);
        sumD = x.fma(Lanes.load(d + 4L * i), sumD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
    }
  }

  private static void twoOfFloats(
      long keys,
      int rows,
      int width,
      float[] query,
      int q,
      int queryStride,
      float[] target,
      int at,
      int targetStride) {
    long stride = 4L * width;
    for (int row = 0; row < rows; row += Lanes.KEYS) {
      final long a = keys + row * stride;
      final long b = a + stride;
      final long c = b + stride;
      final long d = c + stride;
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
        FloatVector key = Lanes.load(a + 4L * i);
        sumA = x.fma(key, sumA);
        otherA = y.fma(key, otherA);
        key = Lanes.load(b + 4L * i);
        sumB = x.fma(key, sumB);
        otherB = y.fma(key, otherB);
        key = Lanes.load(c + 4L * i);
        sumC = x.fma(key, sumC);
        otherC = y.fma(key, otherC);
        key = Lanes.load(d + 4L * i);
        sumD = x.fma(key, sumD);
        otherD = y.fma(key, otherD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
      Lanes.sums4(otherA, otherB, otherC, otherD).intoArray(target, at + targetStride + row);
    }
  }

  private static float product(KvType type, long key, int width, float[] query, int q) {
    int whole = width - width % Lanes.N;
    if (whole < width) {
      return productWithRest(type, key, width, query, q);
    }
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < width; i += Lanes.N) {
      sum = FloatVector.fromArray(Lanes.F, query, q + i).fma(Lanes.load(type, key, i), sum);
    }
    return Lanes.sum(sum);
  }

  private static float productWithRest(KvType type, long key, int width, float[] query, int q) {
    FloatVector sum = FloatVector.zero(Lanes.F);
    int i = 0;
    for (; i + Lanes.N <= width; i += Lanes.N) {
      sum = FloatVector.fromArray(Lanes.F, query, q + i).fma(Lanes.load(type, key, i), sum);
    }
    FloatVector rest = Lanes.loadFirst(type, key, i, width - i);
    return Lanes.sum(FloatVector.fromArray(Lanes.F, query, q + i).fma(rest, sum));
  }
}

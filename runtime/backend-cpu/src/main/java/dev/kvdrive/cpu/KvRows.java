package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;

/** Keys and values between the layout's type and F32. */
final class KvRows {
  private KvRows() {}

  /** Elements of a padded F32 row of {@code headDim} elements: whole pairs of vectors. */
  static int padded(int headDim) {
    return Math.ceilDiv(headDim, 2 * Lanes.N) * 2 * Lanes.N;
  }

  /**
   * Widens rows that lie one behind the other to padded F32 rows, the padding 0.
   *
   * @param source address of {@code rows} rows of {@code width} elements
   * @param target address of {@code rows} rows of {@code padded} floats
   */
  static void widen(KvType type, long source, int rows, int width, long target, int padded) {
    int whole = width - width % Lanes.N;
    long rowBytes = (long) width * type.bytes();
    for (int row = 0; row < rows; row++) {
      long from = source + row * rowBytes;
      long to = target + 4L * row * padded;
      if (type == KvType.BF16) {
        for (int i = 0; i < whole; i += Lanes.N) {
          Lanes.store(Lanes.loadBfloat16(from + 2L * i), to + 4L * i);
        }
      } else {
        for (int i = 0; i < whole; i += Lanes.N) {
          Lanes.store(Lanes.load(from + 4L * i), to + 4L * i);
        }
      }
      for (int i = whole; i < width; i++) {
        Memory.putFloat(to + 4L * i, get(type, from, i));
      }
      for (int i = width; i < padded; i++) {
        Memory.putFloat(to + 4L * i, 0);
      }
    }
  }

  /** Rounds {@code width} floats to a row. */
  static void narrow(KvType type, long source, int width, long target) {
    if (type == KvType.F32) {
      Memory.copy(source, target, 4L * width);
      return;
    }
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      Lanes.storeBfloat16(Lanes.load(source + 4L * i), target + 2L * i);
    }
    for (int i = whole; i < width; i++) {
      Memory.putShort(target + 2L * i, Bfloat16.round(Memory.getFloat(source + 4L * i)));
    }
  }

  /** Element {@code i} of a row. */
  static float get(KvType type, long row, int i) {
    return type == KvType.F32
        ? Memory.getFloat(row + 4L * i)
        : Bfloat16.widen(Memory.getShort(row + 2L * i));
  }

  /**
   * Products of {@code rows} padded rows with one padded query, in order of the rows.
   *
   * @param target address of {@code rows} floats; up to a vector is written behind them
   */
  static void products(long query, long keys, int rows, int padded, long target) {
    long stride = 4L * padded;
    int row = 0;
    for (; row + Lanes.KEYS <= rows; row += Lanes.KEYS) {
      long a = keys + row * stride;
      long b = a + stride;
      long c = b + stride;
      long d = c + stride;
      var q = Lanes.load(query);
      var sumA = q.mul(Lanes.load(a));
      var sumB = q.mul(Lanes.load(b));
      var sumC = q.mul(Lanes.load(c));
      var sumD = q.mul(Lanes.load(d));
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
      var sum = Lanes.load(query).mul(Lanes.load(a));
      for (long i = 4L * Lanes.N; i < stride; i += 4L * Lanes.N) {
        sum = Lanes.load(query + i).fma(Lanes.load(a + i), sum);
      }
      Memory.putFloat(target + 4L * row, Lanes.sum(sum));
    }
  }
}

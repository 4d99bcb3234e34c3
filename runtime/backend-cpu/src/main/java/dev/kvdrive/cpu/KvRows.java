package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;
import jdk.incubator.vector.FloatVector;

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

  /**
   * Products of rows with a query, in order of the rows; each has the bits of {@link
   * #products(long, long, int, int, long)} but for the sign of a zero.
   *
   * @param keys address of {@code rows} rows of {@code width} elements
   * @param query padded floats from {@code q}, the padding 0
   * @param target {@code rows} floats from {@code at}; up to a vector is written behind them
   */
  static void products(
      KvType type, long keys, int rows, int width, float[] query, int q, float[] target, int at) {
    long stride = (long) width * type.bytes();
    int whole = width - width % Lanes.N;
    int row = 0;
    for (; row + Lanes.KEYS <= rows; row += Lanes.KEYS) {
      final long a = keys + row * stride;
      final long b = a + stride;
      final long c = b + stride;
      final long d = c + stride;
      FloatVector sumA = FloatVector.zero(Lanes.F);
      FloatVector sumB = sumA;
      FloatVector sumC = sumA;
      FloatVector sumD = sumA;
      for (int i = 0; i < whole; i += Lanes.N) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + i);
        sumA = x.fma(lanes(type, a, i), sumA);
        sumB = x.fma(lanes(type, b, i), sumB);
        sumC = x.fma(lanes(type, c, i), sumC);
        sumD = x.fma(lanes(type, d, i), sumD);
      }
      if (whole < width) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + whole);
        sumA = x.fma(rest(type, a, whole, width), sumA);
        sumB = x.fma(rest(type, b, whole, width), sumB);
        sumC = x.fma(rest(type, c, whole, width), sumC);
        sumD = x.fma(rest(type, d, whole, width), sumD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
    }
    for (; row < rows; row++) {
      target[at + row] = Lanes.sum(product(type, keys + row * stride, width, query, q));
    }
  }

  /**
   * {@link #products(KvType, long, int, int, float[], int, float[], int)} of two queries, which
   * read every key once.
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
    if (width % Lanes.N != 0) {
      products(type, keys, rows, width, query, q, target, at);
      products(type, keys, rows, width, query, q + queryStride, target, at + targetStride);
      return;
    }
    long stride = (long) width * type.bytes();
    int row = 0;
    for (; row + Lanes.KEYS <= rows; row += Lanes.KEYS) {
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
        FloatVector key = lanes(type, a, i);
        sumA = x.fma(key, sumA);
        otherA = y.fma(key, otherA);
        key = lanes(type, b, i);
        sumB = x.fma(key, sumB);
        otherB = y.fma(key, otherB);
        key = lanes(type, c, i);
        sumC = x.fma(key, sumC);
        otherC = y.fma(key, otherC);
        key = lanes(type, d, i);
        sumD = x.fma(key, sumD);
        otherD = y.fma(key, otherD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
      Lanes.sums4(otherA, otherB, otherC, otherD).intoArray(target, at + targetStride + row);
    }
    if (row < rows) {
      // Elsewhere: where this kernel grows, the compiler makes objects of the vectors above.
      long rest = keys + row * stride;
      products(type, rest, rows - row, width, query, q, target, at + row);
      products(
          type, rest, rows - row, width, query, q + queryStride, target, at + targetStride + row);
    }
  }

  private static FloatVector product(KvType type, long key, int width, float[] query, int q) {
    int whole = width - width % Lanes.N;
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < whole; i += Lanes.N) {
      sum = FloatVector.fromArray(Lanes.F, query, q + i).fma(lanes(type, key, i), sum);
    }
    return whole == width
        ? sum
        : FloatVector.fromArray(Lanes.F, query, q + whole).fma(rest(type, key, whole, width), sum);
  }

  /** Elements {@code i} and on of a row. */
  static FloatVector lanes(KvType type, long row, int i) {
    return type == KvType.BF16 ? Lanes.loadBfloat16(row + 2L * i) : Lanes.load(row + 4L * i);
  }

  /** The last elements of a row, fewer than a vector, and zeros. */
  private static FloatVector rest(KvType type, long row, int from, int width) {
    FloatVector v = FloatVector.zero(Lanes.F);
    for (int i = from; i < width; i++) {
      v = v.withLane(i - from, get(type, row, i));
    }
    return v;
  }

  /**
   * Widens rows to part of panels {@code [padded/COLUMNS][panelRows][COLUMNS]}, the padding 0.
   *
   * @param source address of {@code rows} rows of {@code width} elements
   * @param panels as {@link Tile} has them
   * @param at first of the panels' rows
   */
  static void widenToPanels(
      KvType type,
      long source,
      int rows,
      int width,
      float[] panels,
      int panelRows,
      int at,
      int padded) {
    int whole = width - width % Tile.COLUMNS;
    long stride = (long) width * type.bytes();
    for (int t = 0; t < rows; t++) {
      long row = source + t * stride;
      for (int i = 0; i < whole; i += Tile.COLUMNS) {
        int to = (i / Tile.COLUMNS * panelRows + at + t) * Tile.COLUMNS;
        lanes(type, row, i).intoArray(panels, to);
        lanes(type, row, i + Lanes.N).intoArray(panels, to + Lanes.N);
      }
      if (whole < width) {
        int to = (whole / Tile.COLUMNS * panelRows + at + t) * Tile.COLUMNS;
        for (int i = 0; i < padded - whole; i++) {
          panels[to + i] = whole + i < width ? get(type, row, whole + i) : 0;
        }
      }
    }
  }
}

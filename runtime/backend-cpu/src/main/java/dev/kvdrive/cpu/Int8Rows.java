package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Keys and values of a byte an element, with a step for each row: {@link ChunkLayout}. Products are
 * of codes and are multiplied with the step at the end, so that a row is read once and converted
 * once for two queries.
 */
final class Int8Rows {
  /** Added and subtracted, it rounds to the nearest whole number, ties to even. */
  private static final float ROUNDER = 0x1.8p23f;

  private Int8Rows() {}

  /** Elements of a row that are written as vectors; there is no vector of four bytes. */
  private static int writtenAsVectors(int width) {
    return Lanes.N == 4 ? 0 : width - width % Lanes.N;
  }

  /**
   * Encodes a row of keys or values.
   *
   * @param half address of the half of a chunk
   * @param token of the chunk
   */
  static void encode(KvType type, long row, ChunkLayout layout, long half, int token) {
    int width = layout.headDim();
    int whole = width - width % Lanes.N;
    FloatVector most = FloatVector.zero(Lanes.F);
    for (int i = 0; i < whole; i += Lanes.N) {
      most = Lanes.larger(most, KvRows.lanes(type, row, i).abs());
    }
    float largest = Lanes.largest(most);
    for (int i = whole; i < width; i++) {
      float size = Math.abs(KvRows.get(type, row, i));
      largest = size > largest ? size : largest;
    }
    float step =
        largest < ChunkLayout.SMALLEST
            ? 0
            : Bfloat16.widen(Bfloat16.round(largest * (1f / ChunkLayout.MOST)));
    float inverse = step == 0 ? 0 : 1 / step;
    long codes = half + (long) token * width;
    int vectors = writtenAsVectors(width);
    for (int i = 0; i < vectors; i += Lanes.N) {
      FloatVector x = KvRows.lanes(type, row, i).mul(inverse).add(ROUNDER).sub(ROUNDER);
      IntVector code =
          ((IntVector) x.convertShape(VectorOperators.F2I, Lanes.I, 0))
              .min(ChunkLayout.MOST)
              .max(-ChunkLayout.MOST);
      ((ByteVector) code.convertShape(VectorOperators.I2B, StoredLanes.BYTES, 0))
          .intoMemorySegment(Memory.ALL, codes + i, Memory.ORDER);
    }
    for (int i = vectors; i < width; i++) {
      int code = (int) (KvRows.get(type, row, i) * inverse + ROUNDER - ROUNDER);
      Memory.putByte(codes + i, (byte) Math.clamp(code, -ChunkLayout.MOST, ChunkLayout.MOST));
    }
    Memory.putShort(half + layout.stepOffset() + 2L * token, Bfloat16.round(step));
  }

  /** Decodes a chunk into one whose elements have the type of keys and values. */
  static void decode(ChunkLayout from, long source, KvType type, ChunkLayout to, long target) {
    for (int half = 0; half < 2; half++) {
      long codes = source + (long) half * from.valueOffset();
      long rows = target + (long) half * to.valueOffset();
      for (int t = 0; t < from.chunk(); t++) {
        decode(
            type,
            codes + (long) t * from.rowBytes(),
            step(from, codes, t),
            from.headDim(),
            rows + (long) t * to.rowBytes());
      }
    }
  }

  private static void decode(KvType type, long codes, float step, int width, long row) {
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector x = lanes(codes + i).mul(step);
      if (type == KvType.BF16) {
        Lanes.storeBfloat16(x, row + 2L * i);
      } else {
        Lanes.store(x, row + 4L * i);
      }
    }
    for (int i = whole; i < width; i++) {
      float x = Memory.getByte(codes + i) * step;
      if (type == KvType.BF16) {
        Memory.putShort(row + 2L * i, Bfloat16.round(x));
      } else {
        Memory.putFloat(row + 4L * i, x);
      }
    }
  }

  private static float step(ChunkLayout layout, long half, int token) {
    return Bfloat16.widen(Memory.getShort(half + layout.stepOffset() + 2L * token));
  }

  private static FloatVector lanes(long codes) {
    // At once: by way of ints, products take half as long again. Eight bytes are read where there
    // are but four lanes; behind the codes of a half are its steps.
    return (FloatVector)
        ByteVector.fromMemorySegment(StoredLanes.BYTES, Memory.ALL, codes, Memory.ORDER)
            .castShape(Lanes.F, 0);
  }

  /** The last codes of a row, fewer than a vector, and zeros. */
  private static FloatVector rest(long codes, int from, int width) {
    FloatVector v = FloatVector.zero(Lanes.F);
    for (int i = from; i < width; i++) {
      v = v.withLane(i - from, Memory.getByte(codes + i));
    }
    return v;
  }

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
    int whole = width - width % Lanes.N;
    int rows = layout.chunk();
    int row = 0;
    for (; row + Lanes.KEYS <= rows; row += Lanes.KEYS) {
      final long a = keys + (long) row * width;
      final long b = a + width;
      final long c = b + width;
      final long d = c + width;
      FloatVector sumA = FloatVector.zero(Lanes.F);
      FloatVector sumB = sumA;
      FloatVector sumC = sumA;
      FloatVector sumD = sumA;
      for (int i = 0; i < whole; i += Lanes.N) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + i);
        sumA = x.fma(lanes(a + i), sumA);
        sumB = x.fma(lanes(b + i), sumB);
        sumC = x.fma(lanes(c + i), sumC);
        sumD = x.fma(lanes(d + i), sumD);
      }
      if (whole < width) {
        FloatVector x = FloatVector.fromArray(Lanes.F, query, q + whole);
        sumA = x.fma(rest(a, whole, width), sumA);
        sumB = x.fma(rest(b, whole, width), sumB);
        sumC = x.fma(rest(c, whole, width), sumC);
        sumD = x.fma(rest(d, whole, width), sumD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
    }
    for (; row < rows; row++) {
      target[at + row] = Lanes.sum(product(keys + (long) row * width, width, query, q));
    }
    scale(layout, keys, target, at);
  }

  /**
   * {@link #products(ChunkLayout, long, float[], int, float[], int)} of two queries, which read
   * every key once.
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
    if (width % Lanes.N != 0) {
      products(layout, keys, query, q, target, at);
      products(layout, keys, query, q + queryStride, target, at + targetStride);
      return;
    }
    int row = 0;
    for (; row + Lanes.KEYS <= rows; row += Lanes.KEYS) {
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
        FloatVector key = lanes(a + i);
        sumA = x.fma(key, sumA);
        otherA = y.fma(key, otherA);
        key = lanes(b + i);
        sumB = x.fma(key, sumB);
        otherB = y.fma(key, otherB);
        key = lanes(c + i);
        sumC = x.fma(key, sumC);
        otherC = y.fma(key, otherC);
        key = lanes(d + i);
        sumD = x.fma(key, sumD);
        otherD = y.fma(key, otherD);
      }
      Lanes.sums4(sumA, sumB, sumC, sumD).intoArray(target, at + row);
      Lanes.sums4(otherA, otherB, otherC, otherD).intoArray(target, at + targetStride + row);
    }
    for (; row < rows; row++) {
      long key = keys + (long) row * width;
      target[at + row] = Lanes.sum(product(key, width, query, q));
      target[at + targetStride + row] = Lanes.sum(product(key, width, query, q + queryStride));
    }
    scale(layout, keys, target, at);
    scale(layout, keys, target, at + targetStride);
  }

  private static FloatVector product(long key, int width, float[] query, int q) {
    int whole = width - width % Lanes.N;
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < whole; i += Lanes.N) {
      sum = FloatVector.fromArray(Lanes.F, query, q + i).fma(lanes(key + i), sum);
    }
    return whole == width
        ? sum
        : FloatVector.fromArray(Lanes.F, query, q + whole).fma(rest(key, whole, width), sum);
  }

  private static void scale(ChunkLayout layout, long keys, float[] target, int at) {
    for (int t = 0; t < layout.chunk(); t++) {
      target[at + t] *= step(layout, keys, t);
    }
  }

  /**
   * Widens the values of a chunk to part of panels {@code [padded/COLUMNS][panelRows][COLUMNS]},
   * the padding 0.
   *
   * @param values address of the half
   * @param panels as {@link Tile} has them
   * @param at first of the panels' rows
   */
  static void widenToPanels(
      ChunkLayout layout, long values, float[] panels, int panelRows, int at, int padded) {
    int width = layout.headDim();
    int whole = width - width % Tile.COLUMNS;
    for (int t = 0; t < layout.chunk(); t++) {
      long row = values + (long) t * width;
      float step = step(layout, values, t);
      for (int i = 0; i < whole; i += Tile.COLUMNS) {
        int to = (i / Tile.COLUMNS * panelRows + at + t) * Tile.COLUMNS;
        lanes(row + i).mul(step).intoArray(panels, to);
        lanes(row + i + Lanes.N).mul(step).intoArray(panels, to + Lanes.N);
      }
      if (whole < width) {
        int to = (whole / Tile.COLUMNS * panelRows + at + t) * Tile.COLUMNS;
        for (int i = 0; i < padded - whole; i++) {
          panels[to + i] = whole + i < width ? Memory.getByte(row + whole + i) * step : 0;
        }
      }
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Keys and values to a byte an element, and back. Kernels: see {@link Lanes}. */
final class Int8RowKernels {
  /** Added and subtracted, it rounds to the nearest whole number, ties to even. */
  private static final float ROUNDER = 0x1.8p23f;

  private Int8RowKernels() {}

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
      most = Lanes.larger(most, Lanes.load(type, row, i).abs());
    }
    float largest = Lanes.largest(most);
    for (int i = whole; i < width; i++) {
      float size = Math.abs(KvRows.get(type, row, i));
      largest = size > largest ? size : largest;
    }
    float step = step(type, row, width, largest);
    float inverse = step == 0 ? 0 : 1 / step;
    long codes = half + (long) token * width;
    int vectors = writtenAsVectors(width);
    for (int i = 0; i < vectors; i += Lanes.N) {
      FloatVector x = Lanes.load(type, row, i).mul(inverse).add(ROUNDER).sub(ROUNDER);
      IntVector code =
          ((IntVector) x.convertShape(VectorOperators.F2I, Lanes.I, 0))
              .min(ChunkLayout.MOST)
              .max(-ChunkLayout.MOST);
      ((ByteVector) code.convertShape(VectorOperators.I2B, StoredLanes.BYTES, 0))
          .intoMemorySegment(Memory.ALL, Memory.inBounds(codes + i), Memory.ORDER);
    }
    for (int i = vectors; i < width; i++) {
      int code = (int) (KvRows.get(type, row, i) * inverse + ROUNDER - ROUNDER);
      Memory.putByte(codes + i, (byte) Math.clamp(code, -ChunkLayout.MOST, ChunkLayout.MOST));
    }
    Memory.putShort(half + layout.stepOffset() + 2L * token, Bfloat16.round(step));
  }

  /** The step of a row: see {@link ChunkLayout}. */
  private static float step(KvType type, long row, int width, float largest) {
    if (largest < ChunkLayout.SMALLEST) {
      return 0;
    }
    short first = Bfloat16.round(largest * (1f / ChunkLayout.MOST));
    float step = Bfloat16.widen(first);
    if (givesBack(type, row, width, step)) {
      return step;
    }
    float smaller = Bfloat16.widen((short) (first - 1));
    if (givesBack(type, row, width, smaller)) {
      return smaller;
    }
    float larger = Bfloat16.widen((short) (first + 1));
    return givesBack(type, row, width, larger) ? larger : step;
  }

  /** Whether a row is the same when it was encoded and decoded; most are not at once. */
  private static boolean givesBack(KvType type, long row, int width, float step) {
    float inverse = 1 / step;
    for (int i = 0; i < width; i++) {
      float x = KvRows.get(type, row, i);
      float back =
          Math.clamp((int) (x * inverse + ROUNDER - ROUNDER), -ChunkLayout.MOST, ChunkLayout.MOST)
              * step;
      if (x != (type == KvType.BF16 ? Bfloat16.widen(Bfloat16.round(back)) : back)) {
        return false;
      }
    }
    return true;
  }

  /** A row becomes what it is when it was encoded and decoded. */
  static void round(KvType type, long row, int width) {
    float largest = 0;
    for (int i = 0; i < width; i++) {
      largest = Math.max(largest, Math.abs(KvRows.get(type, row, i)));
    }
    float step = step(type, row, width, largest);
    float inverse = step == 0 ? 0 : 1 / step;
    int whole = width - width % Lanes.N;
    FloatVector most = FloatVector.broadcast(Lanes.F, (float) ChunkLayout.MOST);
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector x =
          Lanes.load(type, row, i)
              .mul(inverse)
              .add(ROUNDER)
              .sub(ROUNDER)
              .min(most)
              .max(most.neg())
              .mul(step);
      if (type == KvType.BF16) {
        Lanes.storeBfloat16(x, row + 2L * i);
      } else {
        Lanes.store(x, row + 4L * i);
      }
    }
    for (int i = whole; i < width; i++) {
      float back =
          Math.clamp(
                  (int) (KvRows.get(type, row, i) * inverse + ROUNDER - ROUNDER),
                  -ChunkLayout.MOST,
                  ChunkLayout.MOST)
              * step;
      if (type == KvType.BF16) {
        Memory.putShort(row + 2L * i, Bfloat16.round(back));
      } else {
        Memory.putFloat(row + 4L * i, back);
      }
    }
  }

  /** Decodes the rows of a half of a chunk to rows that lie one behind the other. */
  static void decodeRows(ChunkLayout from, long codes, KvType type, int rowBytes, long rows) {
    for (int t = 0; t < from.chunk(); t++) {
      decode(
          type,
          codes + (long) t * from.rowBytes(),
          Int8Rows.step(from, codes, t),
          from.headDim(),
          rows + (long) t * rowBytes);
    }
  }

  /** Decodes a chunk into one whose elements have the type of keys and values. */
  static void decode(ChunkLayout from, long source, KvType type, ChunkLayout to, long target) {
    for (int half = 0; half < 2; half++) {
      long codes = source + (long) half * from.valueOffset();
      long rows = target + (long) half * to.valueOffset();
      decodeRows(from, codes, type, to.rowBytes(), rows);
    }
  }

  private static void decode(KvType type, long codes, float step, int width, long row) {
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector x = Lanes.loadBytes(codes + i).mul(step);
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
}

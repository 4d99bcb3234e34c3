package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A chunk in its format, as {@link ChunkLayout} says it, one element after the other. */
final class ReferenceChunk {
  private ReferenceChunk() {}

  /**
   * Writes a row of keys or values.
   *
   * @param row {@code headDim} elements as they were computed
   * @param half offset of the half of the chunk
   */
  static void write(ChunkLayout layout, float[] row, MemorySegment to, long half, int token) {
    long at = half + (long) token * layout.rowBytes();
    if (layout.format() != ChunkFormat.INT8) {
      for (int i = 0; i < row.length; i++) {
        if (layout.format() == ChunkFormat.F32) {
          to.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * i, row[i]);
        } else {
          to.set(ValueLayout.JAVA_SHORT_UNALIGNED, at + 2L * i, Bfloat16.round(row[i]));
        }
      }
      return;
    }
    float largest = 0;
    for (float element : row) {
      largest = Math.max(largest, Math.abs(element));
    }
    short step =
        largest < ChunkLayout.SMALLEST ? 0 : Bfloat16.round(largest * (1f / ChunkLayout.MOST));
    to.set(ValueLayout.JAVA_SHORT_UNALIGNED, half + layout.stepOffset() + 2L * token, step);
    float inverse = step == 0 ? 0 : 1 / Bfloat16.widen(step);
    for (int i = 0; i < row.length; i++) {
      int code = (int) Math.rint(row[i] * inverse);
      to.set(
          ValueLayout.JAVA_BYTE,
          at + i,
          (byte) Math.clamp(code, -ChunkLayout.MOST, ChunkLayout.MOST));
    }
  }

  /** Element {@code i} of a row of keys or values. */
  static float read(ChunkLayout layout, MemorySegment from, long half, int token, int i) {
    long at = half + (long) token * layout.rowBytes();
    return switch (layout.format()) {
      case F32 -> from.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * i);
      case BF16 -> Bfloat16.widen(from.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + 2L * i));
      case INT8 ->
          from.get(ValueLayout.JAVA_BYTE, at + i)
              * Bfloat16.widen(
                  from.get(
                      ValueLayout.JAVA_SHORT_UNALIGNED, half + layout.stepOffset() + 2L * token));
    };
  }

  /** Brings a chunk from its backing form to the form it has in the window. */
  static void bring(
      ChunkLayout backing,
      MemorySegment from,
      long source,
      ChunkLayout resident,
      MemorySegment to,
      long target) {
    if (backing.format() == resident.format()) {
      MemorySegment.copy(from, source, to, target, backing.bytes());
      return;
    }
    for (int half = 0; half < 2; half++) {
      for (int t = 0; t < backing.chunk(); t++) {
        float[] row = new float[backing.headDim()];
        for (int i = 0; i < row.length; i++) {
          row[i] = read(backing, from, source + (long) half * backing.valueOffset(), t, i);
        }
        write(resident, row, to, target + (long) half * resident.valueOffset(), t);
      }
    }
  }
}

package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A chunk in its format, as {@link ChunkLayout} says it, one element after the other. */
final class ReferenceChunk {
  private ReferenceChunk() {}

  /**
   * Writes a row of keys or values.
   *
   * @param type of keys and values
   * @param row {@code headDim} elements
   * @param half offset of the half of the chunk
   */
  static void write(
      KvType type, ChunkLayout layout, float[] row, MemorySegment to, long half, int token) {
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
    short step = step(type, row);
    to.set(ValueLayout.JAVA_SHORT_UNALIGNED, half + layout.stepOffset() + 2L * token, step);
    for (int i = 0; i < row.length; i++) {
      to.set(ValueLayout.JAVA_BYTE, at + i, (byte) code(row[i], step));
    }
  }

  private static short step(KvType type, float[] row) {
    float largest = 0;
    for (float element : row) {
      largest = Math.max(largest, Math.abs(element));
    }
    if (largest < ChunkLayout.SMALLEST) {
      return 0;
    }
    short step = Bfloat16.round(largest * (1f / ChunkLayout.MOST));
    for (int change : new int[] {0, -1, 1}) {
      short candidate = (short) (step + change);
      if (givesBack(type, row, candidate)) {
        return candidate;
      }
    }
    return step;
  }

  private static boolean givesBack(KvType type, float[] row, short step) {
    for (float element : row) {
      if (decoded(type, element, step) != element) {
        return false;
      }
    }
    return true;
  }

  private static int code(float element, short step) {
    float inverse = step == 0 ? 0 : 1 / Bfloat16.widen(step);
    return Math.clamp((int) Math.rint(element * inverse), -ChunkLayout.MOST, ChunkLayout.MOST);
  }

  private static float decoded(KvType type, float element, short step) {
    float decoded = code(element, step) * Bfloat16.widen(step);
    return type == KvType.BF16 ? Bfloat16.widen(Bfloat16.round(decoded)) : decoded;
  }

  /** The row as it comes back from a format. */
  static float[] comesBack(KvType type, ChunkFormat format, float[] row) {
    float[] back = new float[row.length];
    short step = step(type, row);
    for (int i = 0; i < row.length; i++) {
      back[i] = format == ChunkFormat.INT8 ? decoded(type, row[i], step) : row[i];
    }
    return back;
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
      KvType type,
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
        write(type, resident, row, to, target + (long) half * resident.valueOffset(), t);
      }
    }
  }
}

package dev.kvdrive.kv.meter;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Brings stored elements to F32, as a step attends them. */
final class ChunkReader {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private ChunkReader() {}

  /**
   * The keys of a chunk, or its values.
   *
   * @param half where they begin
   * @param out {@code [chunk][headDim]} from its start
   */
  static void read(ChunkLayout layout, MemorySegment memory, long half, float[] out) {
    int elements = layout.chunk() * layout.headDim();
    switch (layout.format()) {
      case F32, BF16 -> plain(layout.format() == ChunkFormat.BF16, memory, half, elements, out);
      case INT8 -> {
        for (int token = 0; token < layout.chunk(); token++) {
          long at = half + layout.stepOffset() + (long) Short.BYTES * token;
          float step = Bfloat16.widen(memory.get(SHORT, at));
          int from = token * layout.headDim();
          for (int i = from; i < from + layout.headDim(); i++) {
            out[i] = memory.get(ValueLayout.JAVA_BYTE, half + i) * step;
          }
        }
      }
    }
  }

  /** Elements as keys and values of single tokens are. */
  static void read(KvType type, MemorySegment memory, long from, int elements, float[] out) {
    plain(type == KvType.BF16, memory, from, elements, out);
  }

  /** Elements as activations are. */
  static void read(ElementType type, MemorySegment memory, long from, int elements, float[] out) {
    plain(type == ElementType.BF16, memory, from, elements, out);
  }

  private static void plain(
      boolean bf16, MemorySegment memory, long from, int elements, float[] out) {
    for (int i = 0; i < elements; i++) {
      out[i] =
          bf16
              ? Bfloat16.widen(memory.get(SHORT, from + 2L * i))
              : memory.get(FLOAT, from + 4L * i);
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.ChunkLayout;

/** Keys and values of a byte an element, with a step for each row: {@link ChunkLayout}. */
final class Int8Rows {
  private Int8Rows() {}

  /** The step of a token's row in a half of a chunk. */
  static float step(ChunkLayout layout, long half, int token) {
    return Bfloat16.widen(Memory.getShort(half + layout.stepOffset() + 2L * token));
  }
}

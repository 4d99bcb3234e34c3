package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;

/** Rows of keys and values, in the layout's type and in F32. */
final class KvRows {
  private KvRows() {}

  /** Elements of a padded F32 row of {@code headDim} elements: whole pairs of vectors. */
  static int padded(int headDim) {
    return Math.ceilDiv(headDim, 2 * Lanes.N) * 2 * Lanes.N;
  }

  /** Element {@code i} of a row. */
  static float get(KvType type, long row, int i) {
    return type == KvType.F32
        ? Memory.getFloat(row + 4L * i)
        : Bfloat16.widen(Memory.getShort(row + 2L * i));
  }
}

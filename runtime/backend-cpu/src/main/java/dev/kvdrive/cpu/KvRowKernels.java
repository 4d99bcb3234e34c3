package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;

/** Rows of keys and values between the layout's type and F32. Kernels: see {@link Lanes}. */
final class KvRowKernels {
  private KvRowKernels() {}

  /**
   * Widens rows that lie one behind the other to padded F32 rows, the padding 0.
   *
   * @param source address of {@code rows} rows of {@code width} elements
   * @param target address of {@code rows} rows of {@code padded} floats
   */
  static void widen(KvType type, long source, int rows, int width, long target, int padded) {
    widen(type, source, (long) width * type.bytes(), rows, width, target, padded);
  }

  /** The same of rows that are {@code stride} bytes apart. */
  static void widen(
      KvType type, long source, long stride, int rows, int width, long target, int padded) {
    int whole = width - width % Lanes.N;
    for (int row = 0; row < rows; row++) {
      long from = source + row * stride;
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
        Memory.putFloat(to + 4L * i, KvRows.get(type, from, i));
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
}

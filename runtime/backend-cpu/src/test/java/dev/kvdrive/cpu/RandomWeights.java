package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/** Tensors with random blocks of sane scales, in native memory of an arena. */
final class RandomWeights {
  private RandomWeights() {}

  static TensorData tensor(Arena arena, TensorType type, int rows, int cols, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    // Off by 4 from the alignment of vectors, as tensors in files may be.
    long bytes = type.bytes(cols) * rows;
    MemorySegment data = arena.allocate(bytes + 4, 64).asSlice(4, bytes);
    for (long at = 0; at < bytes; at += type.blockBytes()) {
      block(type, data, at, random);
    }
    return new TensorData(type + "x" + rows + "x" + cols, type, rows, cols, data);
  }

  private static void block(TensorType type, MemorySegment data, long at, SplittableRandom random) {
    switch (type) {
      case F32 -> data.set(Memory.FLOAT, at, weight(random));
      case F16 -> data.set(Memory.SHORT, at, Float.floatToFloat16(weight(random)));
      case BF16 -> data.set(Memory.SHORT, at, Bfloat16.round(weight(random)));
      default -> {
        for (int i = 0; i < type.blockBytes(); i++) {
          data.set(Memory.BYTE, at + i, (byte) random.nextInt());
        }
        switch (type) {
          case Q4_1, Q5_1, Q4_K, Q5_K -> {
            half(data, at, random);
            half(data, at + 2, random);
          }
          case Q6_K, Q3_K -> half(data, at + type.blockBytes() - 2, random);
          case Q2_K -> {
            half(data, at + 80, random);
            half(data, at + 82, random);
          }
          case MXFP4 -> data.set(Memory.BYTE, at, (byte) random.nextInt(110, 130));
          default -> half(data, at, random);
        }
      }
    }
  }

  private static void half(MemorySegment data, long at, SplittableRandom random) {
    data.set(Memory.SHORT, at, Float.floatToFloat16(weight(random) / 16));
  }

  private static float weight(SplittableRandom random) {
    return (float) (random.nextDouble() * 2 - 1);
  }
}

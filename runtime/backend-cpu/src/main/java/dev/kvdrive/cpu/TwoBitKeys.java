package dev.kvdrive.cpu;

import dev.kvdrive.plan.TwoBitSummary;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Keys as a representative holds them: rotated, two bits an element, a step for each token. */
final class TwoBitKeys {
  /** Codes of a word, the first in its lowest bits. No vector has more lanes. */
  private static final int CODES = 16;

  /** Width of a code's cell, as a share of the largest element. */
  private static final float CELL = 0.375f;

  /** Places of as many codes as a vector has lanes. */
  private static final IntVector SHIFTS = IntVector.broadcast(Lanes.I, 0).addIndex(2);

  private TwoBitKeys() {}

  /**
   * Rotates a vector in place: the Walsh-Hadamard transform of each {@code block} elements.
   *
   * @param vector address of {@code width} floats
   * @param block a power of two that divides {@code width}
   */
  static void rotate(long vector, int width, int block) {
    for (int h = 1; h < block; h *= 2) {
      for (int from = 0; from < width; from += 2 * h) {
        for (int i = from; i < from + h; i++) {
          long low = vector + 4L * i;
          long high = low + 4L * h;
          float a = Memory.getFloat(low);
          float b = Memory.getFloat(high);
          Memory.putFloat(low, a + b);
          Memory.putFloat(high, a - b);
        }
      }
    }
  }

  /**
   * Writes the codes of a rotated key.
   *
   * @param key address of {@code width} floats
   * @param codes address of {@code bytes} bytes
   * @return the width of a code's cell, 0 for a key that vanishes
   */
  static float encode(long key, int width, long codes, int bytes) {
    float largest = 0;
    for (int i = 0; i < width; i++) {
      largest = Math.max(largest, Math.abs(Memory.getFloat(key + 4L * i)));
    }
    float cell = largest < TwoBitSummary.SMALLEST_KEY ? 0 : CELL * largest;
    float inverse = cell == 0 ? 0 : 1 / cell;
    for (int word = 0; word < bytes / Integer.BYTES; word++) {
      int packed = 0;
      for (int i = 0; i < CODES; i++) {
        int element = CODES * word + i;
        float cells = element < width ? Memory.getFloat(key + 4L * element) * inverse : 0;
        packed |= Math.clamp(2 + (int) Math.floor(cells), 0, 3) << (2 * i);
      }
      Memory.putInt(codes + (long) Integer.BYTES * word, packed);
    }
    return cell;
  }

  /**
   * Unpacks the codes of a key to a padded F32 row of {@code code - 1.5}, the padding 0.
   *
   * @param target address of {@code padded} floats
   */
  static void decode(long codes, int width, long target, int padded) {
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      Lanes.store(decoded(codes + i / 4), target + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      int code = (Memory.getByte(codes + i / 4) >> (2 * (i % 4))) & 3;
      Memory.putFloat(target + 4L * i, code - 1.5f);
    }
    for (int i = width; i < padded; i++) {
      Memory.putFloat(target + 4L * i, 0);
    }
  }

  /** As many codes as a vector has lanes. */
  private static FloatVector decoded(long codes) {
    int packed =
        switch (Lanes.N) {
          case CODES -> Memory.getInt(codes);
          case CODES / 2 -> Memory.getShort(codes);
          default -> Memory.getByte(codes);
        };
    IntVector values =
        IntVector.broadcast(Lanes.I, packed).lanewise(VectorOperators.LSHR, SHIFTS).and(3);
    return ((FloatVector) values.convertShape(VectorOperators.I2F, Lanes.F, 0)).sub(1.5f);
  }
}

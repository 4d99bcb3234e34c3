package dev.kvdrive.cpu;

import dev.kvdrive.plan.TwoBitSummary;

/** Keys as a representative holds them: rotated, two bits an element, a step for each token. */
final class TwoBitKeys {
  /** Codes of a word, the first in its lowest bits. */
  private static final int CODES = 16;

  /** Width of a code's cell, as a share of the largest element. */
  private static final float CELL = 0.375f;

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
   * Writes what two codes, a nibble, add to products of a key with a query, in cells.
   *
   * @param query address of {@code width} floats, rotated
   * @param words of the codes of a key; elements beyond the width add nothing
   * @param tables address of {@code NibbleKernels.tableFloats} floats
   */
  static void tables(long query, int width, int words, long tables) {
    for (int element = 0; element < CODES * words; element += 2) {
      float x = element < width ? Memory.getFloat(query + 4L * element) : 0;
      float y = element + 1 < width ? Memory.getFloat(query + 4L * element + 4) : 0;
      long table = tables + 4L * NibbleKernels.ENTRIES * (element / 2);
      for (int entry = 0; entry < NibbleKernels.ENTRIES; entry++) {
        float sum = ((entry & 3) - 1.5f) * x + ((entry >> 2) - 1.5f) * y;
        Memory.putFloat(table + 4L * entry, sum);
      }
    }
  }
}

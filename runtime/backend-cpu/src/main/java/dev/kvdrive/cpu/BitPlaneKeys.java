package dev.kvdrive.cpu;

import dev.kvdrive.plan.BitPlaneSummary;

/** Keys as {@link BitPlaneSummary} holds them, and what its bits add to products with a query. */
final class BitPlaneKeys {
  private static final int NIBBLE = NibbleKernels.NIBBLE;
  private static final int ENTRIES = NibbleKernels.ENTRIES;

  private BitPlaneKeys() {}

  /**
   * Writes the code of a key.
   *
   * @param book address of the codebook
   * @param key address of {@code headDim} floats, overwritten
   * @param z address of {@code headDim} floats, padded to whole vectors; overwritten
   * @param target address of the token's first word; its words are a chunk's tokens apart
   */
  static void encode(BitPlaneSummary format, long book, long key, long z, long target) {
    int width = format.headDim();
    for (int j = 0; j < width; j++) {
      long at = key + 4L * j;
      Memory.putFloat(at, Memory.getFloat(at) - Memory.getFloat(book + 4L * j));
    }
    SummaryKernels.product(book + format.forwardOffset(), key, width, z);
    long coefficient = book + format.coefficientOffset();
    long element = book + format.elementOffset();
    int word = 0;
    int bit = 0;
    int of = -1;
    float left = 0;
    for (int b = 0; b < format.bits(); b++) {
      int next = Memory.getInt(element + 4L * b);
      if (next != of) {
        of = next;
        left = Memory.getFloat(z + 4L * next);
      }
      float step = Memory.getFloat(coefficient + 4L * b);
      if (left >= 0) {
        word |= 1 << bit;
        left -= step;
      } else {
        left += step;
      }
      if (++bit == BitPlaneSummary.WORD) {
        Memory.putInt(target + 4L * format.chunk() * (b / BitPlaneSummary.WORD), word);
        word = 0;
        bit = 0;
      }
    }
  }

  /**
   * Writes the tables of a query, for products without what is the same for all keys.
   *
   * @param query address of {@code headDim} floats, scaled
   * @param turned address of {@code headDim} floats, padded to whole vectors; overwritten
   * @param tables address of {@code NibbleKernels.tableFloats} floats
   */
  static void tables(BitPlaneSummary format, long book, long query, long turned, long tables) {
    SummaryKernels.product(book + format.backwardOffset(), query, format.headDim(), turned);
    long coefficient = book + format.coefficientOffset();
    long element = book + format.elementOffset();
    for (int nibble = 0; nibble < format.bits() / NIBBLE; nibble++) {
      long table = tables + 4L * ENTRIES * nibble;
      Memory.putFloat(table, 0);
      for (int b = 0; b < NIBBLE; b++) {
        long at = 4L * (NIBBLE * nibble + b);
        float weight =
            Memory.getFloat(coefficient + at)
                * Memory.getFloat(turned + 4L * Memory.getInt(element + at));
        // Every entry so far has two successors: without the bit, and with it.
        for (int entry = (1 << b) - 1; entry >= 0; entry--) {
          float sum = Memory.getFloat(table + 4L * entry);
          Memory.putFloat(table + 4L * (entry | 1 << b), sum + weight);
          Memory.putFloat(table + 4L * entry, sum - weight);
        }
      }
    }
  }
}

package dev.kvdrive.cpu;

import java.util.Arrays;

/**
 * The best k of n scores by radix selection: three passes over the scores find the k-th best bit
 * pattern, a fourth writes the indices in ascending order. No comparison sort, no allocation.
 */
final class TopChunks {
  /** Bits of one radix digit. */
  static final int DIGIT_BITS = 11;

  private static final int LAST_BITS = 32 - 2 * DIGIT_BITS;

  private TopChunks() {}

  /**
   * Writes the ascending indices of the {@code count} largest of {@code n} floats; among equals the
   * lower index goes first.
   *
   * @param scores address of the floats, none NaN
   * @param selected address of {@code int[count]}
   * @param keys at least {@code n} ints
   * @param histogram 2^{@link #DIGIT_BITS} ints
   */
  static void select(long scores, int n, int count, long selected, int[] keys, int[] histogram) {
    for (int i = 0; i < n; i++) {
      keys[i] = descending(Memory.getInt(scores + 4L * i));
    }
    // Keys are unsigned with the best lowest; the digits of the count-th lowest, high ones first.
    int prefix = 0;
    int mask = 0;
    int wanted = count;
    for (int shift = 32 - DIGIT_BITS; ; shift = Math.max(0, shift - DIGIT_BITS)) {
      int bits = shift == 0 ? LAST_BITS : DIGIT_BITS;
      Arrays.fill(histogram, 0, 1 << bits, 0);
      for (int i = 0; i < n; i++) {
        if ((keys[i] & mask) == prefix) {
          histogram[(keys[i] >>> shift) & ((1 << bits) - 1)]++;
        }
      }
      int digit = 0;
      while (histogram[digit] < wanted) {
        wanted -= histogram[digit++];
      }
      prefix |= digit << shift;
      mask |= ((1 << bits) - 1) << shift;
      if (shift == 0) {
        break;
      }
    }
    int written = 0;
    for (int i = 0; i < n && written < count; i++) {
      int order = Integer.compareUnsigned(keys[i], prefix);
      if (order < 0 || (order == 0 && wanted-- > 0)) {
        Memory.putInt(selected + 4L * written++, i);
      }
    }
  }

  /** A whole is so many units of mass: sums of them do not depend on their order. */
  private static final double UNITS = 0x1p40;

  /**
   * The fewest chunks, the best first and the lower one among equals, that leave no more than
   * {@code limit} of {@code masses} out: three passes find the score at the border by what lies
   * below it.
   *
   * @param scores address of {@code n} floats, none NaN
   * @param masses address of their masses, in [0, 2^20): larger for larger scores
   * @param keys at least {@code n} ints
   * @param sums 2^{@link #DIGIT_BITS} longs
   */
  static int enough(long scores, long masses, int n, float limit, int[] keys, long[] sums) {
    for (int i = 0; i < n; i++) {
      keys[i] = descending(Memory.getInt(scores + 4L * i));
    }
    int prefix = 0;
    int mask = 0;
    long left = (long) (limit * UNITS);
    for (int shift = 32 - DIGIT_BITS; ; shift = Math.max(0, shift - DIGIT_BITS)) {
      int bits = shift == 0 ? LAST_BITS : DIGIT_BITS;
      Arrays.fill(sums, 0, 1 << bits, 0);
      for (int i = 0; i < n; i++) {
        if ((keys[i] & mask) == prefix) {
          sums[(keys[i] >>> shift) & ((1 << bits) - 1)] += units(masses + 4L * i);
        }
      }
      int digit = (1 << bits) - 1;
      while (digit >= 0 && sums[digit] <= left) {
        left -= sums[digit--];
      }
      if (digit < 0) {
        return 0; // All together are no more, which only the first pass can find.
      }
      prefix |= digit << shift;
      mask |= ((1 << bits) - 1) << shift;
      if (shift == 0) {
        break;
      }
    }
    int better = 0;
    int equal = 0;
    long unit = 0;
    for (int i = 0; i < n; i++) {
      int order = Integer.compareUnsigned(keys[i], prefix);
      if (order < 0) {
        better++;
      } else if (order == 0) {
        equal++;
        unit = units(masses + 4L * i);
      }
    }
    return better + equal - (int) (left / unit);
  }

  private static long units(long mass) {
    return (long) (Memory.getFloat(mass) * UNITS);
  }

  /** Orders floats as unsigned ints, the largest float lowest. */
  private static int descending(int bits) {
    // -0 is no less than 0.
    int value = bits == 0x8000_0000 ? 0 : bits;
    return value < 0 ? value : 0x7fff_ffff - value;
  }
}

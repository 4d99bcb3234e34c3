package dev.kvdrive.device;

/**
 * What is known of the look-ups of a chunk, in the four bytes that its slot has for it: how often
 * its sequence has looked it up, up to {@link #MOST} times, and the position, modulo 65,536, of the
 * token that did so last. While it is not in the window, how often is kept where the place of its
 * slot would be ({@link #absent}), so that this takes no memory.
 */
public final class Uses {
  /** More look-ups are not told apart; a power of two less one. */
  public static final int MOST = 0xffff;

  /** What doubling the look-ups adds to {@link #merit}; a power of two, so products are exact. */
  public static final float OFTEN = 0.5f;

  /** What doubling the tokens since the last of them takes off; a power of two too. */
  public static final float LONG_AGO = 0.25f;

  private static final int ONE = Float.floatToRawIntBits(1);

  private Uses() {}

  /** For {@code usesOfSlot}: so many look-ups, the last by the token at a position. */
  public static int of(int times, int position) {
    return Math.min(times, MOST) | (position << 16);
  }

  /** How often the chunk was looked up. */
  public static int times(int uses) {
    return uses & MOST;
  }

  /** For {@code slotOfChunk}: not in the window, looked up so often. It is negative. */
  public static int absent(int times) {
    return -1 - times;
  }

  /** How often a chunk was looked up that is not in the window. */
  public static int timesWhileAbsent(int place) {
    return -1 - place;
  }

  /**
   * What earlier look-ups add to a chunk's score at a position: {@link #OFTEN} times the logarithm
   * of how often, less {@link #LONG_AGO} times that of the tokens since the last. Logarithms are
   * binary, of one more than the number, and straight between powers of two: the bits of a float
   * are that, so every device finds the same merit.
   */
  public static float merit(int uses, int position) {
    return OFTEN * logarithm(times(uses)) - LONG_AGO * logarithm((position - (uses >>> 16)) & MOST);
  }

  private static float logarithm(int number) {
    return (Float.floatToRawIntBits(1f + number) - ONE) * 0x1p-23f;
  }
}

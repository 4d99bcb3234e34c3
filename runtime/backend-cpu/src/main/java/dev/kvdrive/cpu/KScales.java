package dev.kvdrive.cpu;

/**
 * The 12 bytes of a Q4_K or Q5_K block that hold a 6-bit scale and a 6-bit minimum for each of 8
 * groups. Those of groups 0 to 3 are the low bits of bytes 0 to 3 (scales) and 4 to 7 (minima); the
 * upper 2 bits of these bytes are the upper bits of groups 4 to 7, whose lower 4 bits are the
 * nibbles of bytes 8 to 11, scales in the low ones.
 */
final class KScales {
  private KScales() {}

  /** The scales, that of group g in byte g. */
  static long scales(long address) {
    int low = Memory.getInt(address);
    int split = Memory.getInt(address + 8);
    return join(low, split & 0x0f0f_0f0f);
  }

  /** The minima, that of group g in byte g. */
  static long mins(long address) {
    int low = Memory.getInt(address + 4);
    int split = Memory.getInt(address + 8);
    return join(low, (split >>> 4) & 0x0f0f_0f0f);
  }

  /** Byte {@code g}. */
  static int of(long bytes, int g) {
    return (int) (bytes >>> (8 * g)) & 0xff;
  }

  private static long join(int low, int nibbles) {
    int upper = nibbles | ((low >>> 2) & 0x3030_3030);
    return ((long) upper << 32) | (low & 0x3f3f_3f3f);
  }
}

package dev.kvdrive.device;

/** The upper half of a 32-bit float. */
public final class Bfloat16 {
  private Bfloat16() {}

  /** The value of {@code bits}. */
  public static float widen(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** The nearest value, ties to even; a NaN stays a (quiet) NaN. */
  public static short round(float value) {
    int bits = Float.floatToRawIntBits(value);
    if ((bits & 0x7fff_ffff) > 0x7f80_0000) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }
}

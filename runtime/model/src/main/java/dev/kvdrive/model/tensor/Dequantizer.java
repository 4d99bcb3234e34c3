package dev.kvdrive.model.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Stored weights as floats, one block after the other in plain scalar code: the definition of every
 * {@link TensorType} that vector kernels are tested against. Layouts are those of the GGUF
 * specification; within a block of 32 or 256 elements the order of elements is that of the row.
 */
public final class Dequantizer {
  private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** What the nibbles of IQ4_NL and IQ4_XS stand for, before the scale. */
  private static final float[] IQ4 = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };

  /** What the nibbles of MXFP4 stand for, times two. */
  private static final float[] E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

  private Dequantizer() {}

  /**
   * The values that the nibbles of a type stand for, before the scale: a copy.
   *
   * @throws IllegalArgumentException if they stand for themselves
   */
  public static float[] nibbleValues(TensorType type) {
    return switch (type) {
      case IQ4_NL, IQ4_XS -> IQ4.clone();
      case MXFP4 -> E2M1.clone();
      default -> throw new IllegalArgumentException(type + " has no table of values");
    };
  }

  /** The scale of an MXFP4 block, half of what its exponent says since the table is doubled. */
  public static float mxfp4Scale(int exponent) {
    int e = exponent & 0xff;
    return Float.intBitsToFloat(e < 2 ? 0x0020_0000 << e : (e - 1) << 23);
  }

  /**
   * One row of a matrix.
   *
   * @param out receives {@code cols} values from index {@code outFrom} on
   */
  public static void row(TensorData tensor, int row, float[] out, int outFrom) {
    if (row < 0 || row >= tensor.rows()) {
      throw new IndexOutOfBoundsException(
          "row %d of tensor %s with %d rows".formatted(row, tensor.name(), tensor.rows()));
    }
    blocks(tensor.type(), tensor.data(), row * tensor.rowBytes(), tensor.cols(), out, outFrom);
  }

  /** All values of a small tensor, row by row. */
  public static float[] floats(TensorData tensor) {
    float[] out = new float[Math.multiplyExact(tensor.rows(), tensor.cols())];
    blocks(tensor.type(), tensor.data(), 0, out.length, out, 0);
    return out;
  }

  /** All values of a small tensor, row by row, in double precision. */
  public static double[] doubles(TensorData tensor) {
    float[] values = floats(tensor);
    double[] out = new double[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = values[i];
    }
    return out;
  }

  /**
   * Consecutive blocks.
   *
   * @param data holds the blocks
   * @param offset first byte of the first block
   * @param elements values to produce, a whole number of blocks
   * @param out receives them from index {@code outFrom} on
   */
  public static void blocks(
      TensorType type, MemorySegment data, long offset, int elements, float[] out, int outFrom) {
    type.bytes(elements);
    int step = type.blockElements();
    for (int i = 0; i < elements; i += step, offset += type.blockBytes()) {
      int to = outFrom + i;
      switch (type) {
        case F32 -> out[to] = data.get(FLOAT, offset);
        case F16 -> out[to] = half(data, offset);
        case BF16 -> out[to] = Float.intBitsToFloat(data.get(SHORT, offset) << 16);
        case Q8_0 -> q8(data, offset, out, to);
        case Q4_0 -> q4(data, offset, 2, half(data, offset), -8 * half(data, offset), out, to);
        case Q4_1 -> q4(data, offset, 4, half(data, offset), half(data, offset + 2), out, to);
        case Q5_0 -> q5(data, offset, 2, half(data, offset), -16 * half(data, offset), out, to);
        case Q5_1 -> q5(data, offset, 4, half(data, offset), half(data, offset + 2), out, to);
        case Q4_K -> q4k(data, offset, out, to);
        case Q5_K -> q5k(data, offset, out, to);
        case Q6_K -> q6k(data, offset, out, to);
        case Q2_K -> q2k(data, offset, out, to);
        case Q3_K -> q3k(data, offset, out, to);
        case IQ4_NL -> table(IQ4, half(data, offset), data, offset + 2, out, to);
        case IQ4_XS -> iq4xs(data, offset, out, to);
        case MXFP4 -> table(E2M1, mxfp4Scale(data.get(BYTE, offset)), data, offset + 1, out, to);
      }
    }
  }

  /** {@code d * q}: half d, 32 signed bytes. */
  private static void q8(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at);
    for (int i = 0; i < 32; i++) {
      out[to + i] = d * m.get(BYTE, at + 2 + i);
    }
  }

  /** {@code d * q + min}: 16 bytes, elements 0 to 15 in the low nibbles, 16 to 31 in the high. */
  private static void q4(
      MemorySegment m, long at, int header, float d, float min, float[] out, int to) {
    for (int i = 0; i < 16; i++) {
      int b = m.get(BYTE, at + header + i);
      out[to + i] = d * bits(b, 0, 4) + min;
      out[to + 16 + i] = d * bits(b, 4, 4) + min;
    }
  }

  /** As {@link #q4} with a fifth bit per element: bit i of 32 bits ahead of the nibbles. */
  private static void q5(
      MemorySegment m, long at, int header, float d, float min, float[] out, int to) {
    int high = m.get(INT, at + header);
    for (int i = 0; i < 16; i++) {
      int b = m.get(BYTE, at + header + 4 + i);
      out[to + i] = d * (bits(b, 0, 4) + 16 * bits(high, i, 1)) + min;
      out[to + 16 + i] = d * (bits(b, 4, 4) + 16 * bits(high, i + 16, 1)) + min;
    }
  }

  /**
   * Half d, half dmin, 12 bytes of 6-bit scales and minima for 8 groups of 32, 128 bytes of
   * nibbles; groups 2j and 2j+1 share the bytes 32j to 32j+31, low nibbles first.
   */
  private static void q4k(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at);
    float dmin = half(m, at + 2);
    for (int g = 0; g < 8; g++) {
      float scale = d * groupScale(m, at + 4, g);
      float min = dmin * groupMin(m, at + 4, g);
      long nibbles = at + 16 + 32L * (g / 2);
      for (int i = 0; i < 32; i++) {
        out[to + 32 * g + i] = scale * bits(m.get(BYTE, nibbles + i), 4 * (g % 2), 4) - min;
      }
    }
  }

  /** As {@link #q4k} with 32 bytes of fifth bits: bit g of byte i for element i of group g. */
  private static void q5k(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at);
    float dmin = half(m, at + 2);
    for (int g = 0; g < 8; g++) {
      float scale = d * groupScale(m, at + 4, g);
      float min = dmin * groupMin(m, at + 4, g);
      long nibbles = at + 48 + 32L * (g / 2);
      for (int i = 0; i < 32; i++) {
        int low = bits(m.get(BYTE, nibbles + i), 4 * (g % 2), 4);
        int high = bits(m.get(BYTE, at + 16 + i), g, 1);
        out[to + 32 * g + i] = scale * (low + 16 * high) - min;
      }
    }
  }

  /**
   * 128 bytes of low nibbles, 64 bytes of high pairs of bits, 16 signed scales for groups of 16,
   * half d. In each half of 128 elements: element 32k+l has its low nibble in byte {@code l +
   * 32*(k%2)} (low for k below 2) and its high bits 2k of byte l.
   */
  private static void q6k(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at + 208);
    for (int h = 0; h < 2; h++) {
      for (int k = 0; k < 4; k++) {
        long nibbles = at + 64L * h + 32L * (k % 2);
        long pairs = at + 128 + 32L * h;
        long scales = at + 192 + 8L * h + 2L * k;
        for (int l = 0; l < 32; l++) {
          int low = bits(m.get(BYTE, nibbles + l), 4 * (k / 2), 4);
          int high = bits(m.get(BYTE, pairs + l), 2 * k, 2);
          int scale = m.get(BYTE, scales + l / 16);
          out[to + 128 * h + 32 * k + l] = d * scale * (low + 16 * high - 32);
        }
      }
    }
  }

  /**
   * 16 bytes of 4-bit scales (low) and minima (high) for groups of 16, 64 bytes of pairs of bits,
   * half d, half dmin. In each half of 128 elements: element 32k+l is bits 2k of byte l.
   */
  private static void q2k(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at + 80);
    float dmin = half(m, at + 82);
    for (int e = 0; e < 256; e++) {
      int scales = m.get(BYTE, at + e / 16);
      int q = bits(m.get(BYTE, at + 16 + 32L * (e / 128) + e % 32), 2 * (e % 128 / 32), 2);
      out[to + e] = d * bits(scales, 0, 4) * q - dmin * bits(scales, 4, 4);
    }
  }

  /**
   * 32 bytes of third bits, 64 bytes of pairs of bits as in {@link #q2k}, 12 bytes of 6-bit scales
   * for groups of 16, half d. The third bit of element 128h+32k+l is bit 4h+k of byte l; where it
   * is 0 the value is 4 less.
   */
  private static void q3k(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at + 108);
    for (int e = 0; e < 256; e++) {
      int low = bits(m.get(BYTE, at + 32 + 32L * (e / 128) + e % 32), 2 * (e % 128 / 32), 2);
      int high = bits(m.get(BYTE, at + e % 32), e / 32, 1);
      out[to + e] = d * (q3kScale(m, at + 96, e / 16) - 32) * (low + 4 * high - 4);
    }
  }

  /** 6-bit scale of group g: nibble g of 8 bytes (low ones first), then 2 bits of the 4 behind. */
  private static int q3kScale(MemorySegment m, long at, int g) {
    return bits(m.get(BYTE, at + g % 8), 4 * (g / 8), 4)
        + 16 * bits(m.get(BYTE, at + 8 + g % 4), 2 * (g / 4), 2);
  }

  /** 16 bytes of nibbles, elements 0 to 15 low, 16 to 31 high, that stand for other values. */
  private static void table(
      float[] values, float d, MemorySegment m, long at, float[] out, int to) {
    for (int i = 0; i < 16; i++) {
      int b = m.get(BYTE, at + i);
      out[to + i] = d * values[bits(b, 0, 4)];
      out[to + 16 + i] = d * values[bits(b, 4, 4)];
    }
  }

  /**
   * Half d, 16 bits of the high bits of 8 scales, 4 bytes of their low nibbles, then for each group
   * of 32 what {@link #table} reads.
   */
  private static void iq4xs(MemorySegment m, long at, float[] out, int to) {
    float d = half(m, at);
    int high = m.get(SHORT, at + 2);
    for (int g = 0; g < 8; g++) {
      int scale = bits(m.get(BYTE, at + 4 + g / 2), 4 * (g % 2), 4) + 16 * bits(high, 2 * g, 2);
      table(IQ4, d * (scale - 32), m, at + 8 + 16L * g, out, to + 32 * g);
    }
  }

  /** 6-bit scale of group g: whole in byte g for g below 4, else split over bytes g+4 and g-4. */
  private static int groupScale(MemorySegment m, long at, int g) {
    return g < 4
        ? bits(m.get(BYTE, at + g), 0, 6)
        : bits(m.get(BYTE, at + g + 4), 0, 4) + 16 * bits(m.get(BYTE, at + g - 4), 6, 2);
  }

  /** 6-bit minimum of group g: whole in byte g+4 for g below 4, else split over g+4 and g. */
  private static int groupMin(MemorySegment m, long at, int g) {
    return g < 4
        ? bits(m.get(BYTE, at + g + 4), 0, 6)
        : bits(m.get(BYTE, at + g + 4), 4, 4) + 16 * bits(m.get(BYTE, at + g), 6, 2);
  }

  private static int bits(int value, int from, int count) {
    return (value >> from) & ((1 << count) - 1);
  }

  private static float half(MemorySegment m, long at) {
    return Float.float16ToFloat(m.get(SHORT, at));
  }
}

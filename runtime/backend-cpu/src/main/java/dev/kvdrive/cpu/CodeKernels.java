package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Stored blocks of weights as codes, a signed byte each, and what turns them into weights: a scale
 * for every 16, or a scale and an addend for every 32. {@code code * scale}, or {@code code * scale
 * + addend} fused, has the bits that {@link UnpackKernels} gives the weight, but for the sign of a
 * zero.
 *
 * <p>Bytes are taken apart 16 or 32 at a time, which is what makes this cheap, and every byte of a
 * block is read once, in order, which is what makes the memory fast. What multiplies ({@link
 * CodedDotKernels}) finds codes and factors in the core's own cache. Kernels: see {@link Lanes}.
 *
 * <p>Codes of row r are at {@code codes[r * COLS]} and on, its factors at {@code factors[r *
 * FACTORS]}: sixteen scales, or eight scales and eight addends.
 */
final class CodeKernels {
  /** Columns that are unpacked at once, and bytes of a row of codes. */
  static final int COLS = 256;

  /** Rows that are unpacked at once. */
  static final int OUTS = WeightTileKernels.OUTS;

  /** Floats of a row. */
  static final int FACTORS = 16;

  /** Where the addends of a row are, if it has any. */
  static final int ADDENDS = 8;

  private static final int L = Lanes.N;
  private static final int FIFTH_BITS = 0x1010_1010;

  private CodeKernels() {}

  /** Whether there are codes of such weights. */
  static boolean serves(TensorType type) {
    return L > 4
        && switch (type) {
          case F32, F16, BF16, Q8_0, Q2_K -> false;
          default -> true;
        };
  }

  /** Whether their factors are scales and addends, not scales alone. */
  static boolean hasAddends(TensorType type) {
    return switch (type) {
      case Q4_1, Q5_1, Q4_K, Q5_K -> true;
      default -> false;
    };
  }

  /**
   * Unpacks consecutive elements of four rows.
   *
   * @param rows addresses of the rows
   * @param offset bytes to the first element's block
   * @param cols a whole number of blocks, at most {@link #COLS}
   */
  static void unpack(
      TensorType type, long[] rows, long offset, int cols, byte[] codes, float[] factors) {
    switch (type) {
      case Q4_0 -> q4(rows, offset, cols / 32, codes, factors);
      case Q4_1 -> q4min(rows, offset, cols / 32, codes, factors);
      case Q5_0 -> q5(rows, offset, cols / 32, codes, factors);
      case Q5_1 -> q5min(rows, offset, cols / 32, codes, factors);
      case Q4_K -> q4k(rows, offset, codes, factors);
      case Q5_K -> q5k(rows, offset, codes, factors);
      case Q6_K -> q6k(rows, offset, codes, factors);
      case Q3_K -> q3k(rows, offset, codes, factors);
      case IQ4_NL -> iq4nl(rows, offset, cols / 32, codes, factors);
      case IQ4_XS -> iq4xs(rows, offset, codes, factors);
      case MXFP4 -> mxfp4(rows, offset, cols / 32, codes, factors);
      default -> throw new IllegalArgumentException("weights of " + type + " have no codes");
    }
  }

  private static void q4(long[] rows, long offset, int blocks, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int b = 0; b < blocks; b++, from += 18, to += 32) {
        ByteVector nibbles = CodeLanes.half(from + 2);
        CodeLanes.lower(nibbles).sub((byte) 8).intoArray(codes, to);
        CodeLanes.upper(nibbles).sub((byte) 8).intoArray(codes, to + 16);
        CodeLanes.twice(Memory.getHalf(from), factors, at + 2 * b);
      }
    }
  }

  private static void q4min(long[] rows, long offset, int blocks, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int b = 0; b < blocks; b++, from += 20, to += 32) {
        ByteVector nibbles = CodeLanes.half(from + 4);
        CodeLanes.lower(nibbles).intoArray(codes, to);
        CodeLanes.upper(nibbles).intoArray(codes, to + 16);
        factors[at + b] = Memory.getHalf(from);
        factors[at + ADDENDS + b] = Memory.getHalf(from + 2);
      }
    }
  }

  private static void q5(long[] rows, long offset, int blocks, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int b = 0; b < blocks; b++, from += 22, to += 32) {
        ByteVector nibbles = CodeLanes.half(from + 6);
        int fifth = Memory.getInt(from + 2);
        CodeLanes.lower(nibbles).or(CodeLanes.spread(fifth)).sub((byte) 16).intoArray(codes, to);
        CodeLanes.upper(nibbles)
            .or(CodeLanes.spread(fifth >>> 16))
            .sub((byte) 16)
            .intoArray(codes, to + 16);
        CodeLanes.twice(Memory.getHalf(from), factors, at + 2 * b);
      }
    }
  }

  private static void q5min(long[] rows, long offset, int blocks, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int b = 0; b < blocks; b++, from += 24, to += 32) {
        ByteVector nibbles = CodeLanes.half(from + 8);
        int fifth = Memory.getInt(from + 4);
        CodeLanes.lower(nibbles).or(CodeLanes.spread(fifth)).intoArray(codes, to);
        CodeLanes.upper(nibbles).or(CodeLanes.spread(fifth >>> 16)).intoArray(codes, to + 16);
        factors[at + b] = Memory.getHalf(from);
        factors[at + ADDENDS + b] = Memory.getHalf(from + 2);
      }
    }
  }

  private static void iq4nl(long[] rows, long offset, int blocks, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int b = 0; b < blocks; b++, from += 18) {
        ByteVector nibbles = CodeLanes.half(from + 2);
        CodeLanes.iq4(CodeLanes.lower(nibbles)).intoArray(codes, to + 32 * b);
        CodeLanes.iq4(CodeLanes.upper(nibbles)).intoArray(codes, to + 32 * b + 16);
        CodeLanes.twice(Memory.getHalf(from), factors, at + 2 * b);
      }
    }
  }

  private static void mxfp4(long[] rows, long offset, int blocks, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int b = 0; b < blocks; b++, from += 17) {
        ByteVector nibbles = CodeLanes.half(from + 1);
        CodeLanes.e2m1(CodeLanes.lower(nibbles)).intoArray(codes, to + 32 * b);
        CodeLanes.e2m1(CodeLanes.upper(nibbles)).intoArray(codes, to + 32 * b + 16);
        CodeLanes.twice(Dequantizer.mxfp4Scale(Memory.getByte(from)), factors, at + 2 * b);
      }
    }
  }

  private static void iq4xs(long[] rows, long offset, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      float d = Memory.getHalf(from);
      int high = Memory.getShort(from + 2);
      for (int g = 0; g < 8; g++) {
        int low = (Memory.getByte(from + 4 + (g >> 1)) >> (4 * (g & 1))) & 15;
        ByteVector nibbles = CodeLanes.half(from + 8 + 16L * g);
        CodeLanes.iq4(CodeLanes.lower(nibbles)).intoArray(codes, to + 32 * g);
        CodeLanes.iq4(CodeLanes.upper(nibbles)).intoArray(codes, to + 32 * g + 16);
        CodeLanes.twice(d * ((low | ((high >> (2 * g)) & 3) << 4) - 32), factors, at + 2 * g);
      }
    }
  }

  private static void q4k(long[] rows, long offset, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int j = 0; j < 4; j++) {
        IntVector nibbles = CodeLanes.ints(from + 16 + 32L * j);
        nibbles.and(CodeLanes.LOW_NIBBLES).reinterpretAsBytes().intoArray(codes, to + 64 * j);
        CodeLanes.high(nibbles, 4, CodeLanes.LOW_NIBBLES)
            .reinterpretAsBytes()
            .intoArray(codes, to + 64 * j + 32);
      }
      CodeLanes.scalesAndMins(from, factors, at);
    }
  }

  private static void q5k(long[] rows, long offset, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      IntVector fifth = CodeLanes.ints(from + 16);
      for (int j = 0; j < 4; j++) {
        IntVector nibbles = CodeLanes.ints(from + 48 + 32L * j);
        IntVector bits = fifth.lanewise(VectorOperators.LSHR, 2 * j);
        nibbles
            .and(CodeLanes.LOW_NIBBLES)
            .or(bits.lanewise(VectorOperators.LSHL, 4).and(FIFTH_BITS))
            .reinterpretAsBytes()
            .intoArray(codes, to + 64 * j);
        CodeLanes.high(nibbles, 4, CodeLanes.LOW_NIBBLES)
            .or(bits.lanewise(VectorOperators.LSHL, 3).and(FIFTH_BITS))
            .reinterpretAsBytes()
            .intoArray(codes, to + 64 * j + 32);
      }
      CodeLanes.scalesAndMins(from, factors, at);
    }
  }

  private static void q6k(long[] rows, long offset, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      for (int h = 0; h < 2; h++) {
        IntVector pairs = CodeLanes.ints(from + 128 + 32L * h);
        for (int k = 0; k < 2; k++) {
          IntVector nibbles = CodeLanes.ints(from + 64L * h + 32L * k);
          IntVector upper = pairs.lanewise(VectorOperators.LSHR, 2 * k);
          nibbles
              .and(CodeLanes.LOW_NIBBLES)
              .or(upper.and(CodeLanes.LOW_PAIRS).lanewise(VectorOperators.LSHL, 4))
              .reinterpretAsBytes()
              .sub((byte) 32)
              .intoArray(codes, to + 128 * h + 32 * k);
          CodeLanes.high(nibbles, 4, CodeLanes.LOW_NIBBLES)
              .or(upper.and(CodeLanes.LOW_PAIRS << 4))
              .reinterpretAsBytes()
              .sub((byte) 32)
              .intoArray(codes, to + 128 * h + 32 * k + 64);
        }
      }
      float d = Memory.getHalf(from + 208);
      for (int i = 0; i < FACTORS; i += L) {
        Lanes.loadBytes(from + 192 + i).mul(d).intoArray(factors, at + i);
      }
    }
  }

  private static void q3k(long[] rows, long offset, byte[] codes, float[] factors) {
    for (int row = 0; row < OUTS; row++) {
      long from = rows[row] + offset;
      int to = COLS * row;
      int at = FACTORS * row;
      IntVector third = CodeLanes.ints(from);
      for (int h = 0; h < 2; h++) {
        IntVector pairs = CodeLanes.ints(from + 32 + 32L * h);
        IntVector bits = third.lanewise(VectorOperators.LSHR, 4 * h);
        for (int k = 0; k < 4; k++) {
          CodeLanes.high(pairs, 2 * k, CodeLanes.LOW_PAIRS)
              .or(CodeLanes.high(bits, k, CodeLanes.LOW_BITS).lanewise(VectorOperators.LSHL, 2))
              .reinterpretAsBytes()
              .sub((byte) 4)
              .intoArray(codes, to + 128 * h + 32 * k);
        }
      }
      // Scales: nibbles of eight bytes, above them pairs of bits of four bytes, less 32.
      long nibbles = Memory.getLong(from + 96);
      int pairs = Memory.getInt(from + 104);
      long first = (nibbles & 0x0f0f_0f0f_0f0f_0f0fL) | CodeLanes.doubled(pairs, 0);
      long last = ((nibbles >>> 4) & 0x0f0f_0f0f_0f0f_0f0fL) | CodeLanes.doubled(pairs, 4);
      CodeLanes.scaled(
          CodeLanes.longs(first, last).sub((byte) 32), Memory.getHalf(from + 108), factors, at);
    }
  }
}

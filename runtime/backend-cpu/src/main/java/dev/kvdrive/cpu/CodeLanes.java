package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Bytes taken apart, 16 or 32 at a time. Always inlined: see {@link Lanes}. */
final class CodeLanes {
  private static final VectorSpecies<Byte> HALF = ByteVector.SPECIES_128;
  private static final VectorSpecies<Byte> BYTES = ByteVector.SPECIES_256;

  /** Of four bytes. */
  static final int LOW_NIBBLES = 0x0f0f_0f0f;

  static final int LOW_PAIRS = 0x0303_0303;
  static final int LOW_BITS = 0x0101_0101;

  /** Times four bits: one in each byte, of which the lowest bit counts. */
  private static final int SPREAD = 0x0020_4081;

  private static final IntVector FOUR_BITS = IntVector.zero(IntVector.SPECIES_128).addIndex(4);

  private static final ByteVector IQ4 = table(TensorType.IQ4_NL);
  private static final ByteVector E2M1 = table(TensorType.MXFP4);

  /** Lanes of minima where a vector holds scales and minima of a block. */
  private static final VectorMask<Float> SECOND_HALF =
      FloatVector.zero(Lanes.F).addIndex(1).compare(VectorOperators.GE, CodeKernels.ADDENDS);

  private CodeLanes() {}

  private static ByteVector table(TensorType type) {
    float[] values = Dequantizer.nibbleValues(type);
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return ByteVector.fromArray(HALF, bytes, 0);
  }

  /** 32 bytes, as eight ints. */
  static IntVector ints(long address) {
    return ByteVector.fromMemorySegment(BYTES, Memory.ALL, Memory.inBounds(address), Memory.ORDER)
        .reinterpretAsInts();
  }

  /** 16 bytes. */
  static ByteVector half(long address) {
    return ByteVector.fromMemorySegment(HALF, Memory.ALL, Memory.inBounds(address), Memory.ORDER);
  }

  /** The lower nibbles of bytes. */
  static ByteVector lower(ByteVector nibbles) {
    return nibbles.and((byte) 15);
  }

  /** The upper nibbles of bytes. */
  static ByteVector upper(ByteVector nibbles) {
    return nibbles
        .reinterpretAsInts()
        .lanewise(VectorOperators.LSHR, 4)
        .reinterpretAsBytes()
        .and((byte) 15);
  }

  /** The bits of every byte that begin at {@code shift}, as the mask of four bytes has them. */
  static IntVector high(IntVector bytes, int shift, int mask) {
    return bytes.lanewise(VectorOperators.LSHR, shift).and(mask);
  }

  /** Bit i of 16 as bit 4 of byte i. */
  static ByteVector spread(int bits) {
    return IntVector.broadcast(IntVector.SPECIES_128, bits)
        .lanewise(VectorOperators.LSHR, FOUR_BITS)
        .and(15)
        .mul(SPREAD)
        .and(LOW_BITS)
        .lanewise(VectorOperators.LSHL, 4)
        .reinterpretAsBytes();
  }

  /** Two bits of each of four bytes, the next two behind them, as bits 4 and 5 of eight. */
  static long doubled(int pairs, int shift) {
    int low = ((pairs >>> shift) & LOW_PAIRS) << 4;
    int high = ((pairs >>> (shift + 2)) & LOW_PAIRS) << 4;
    return ((long) high << 32) | low;
  }

  /** 16 bytes. */
  static ByteVector longs(long first, long last) {
    return LongVector.zero(LongVector.SPECIES_128)
        .withLane(0, first)
        .withLane(1, last)
        .reinterpretAsBytes();
  }

  /** What 16 nibbles of IQ4 stand for. */
  static ByteVector iq4(ByteVector nibbles) {
    return nibbles.selectFrom(IQ4);
  }

  /** What 16 nibbles of MXFP4 stand for. */
  static ByteVector e2m1(ByteVector nibbles) {
    return nibbles.selectFrom(E2M1);
  }

  /** 16 bytes, times one factor. */
  static void scaled(ByteVector codes, float by, float[] factors, int at) {
    for (int part = 0; part < CodeKernels.FACTORS / Lanes.N; part++) {
      ((FloatVector) codes.castShape(Lanes.F, part))
          .mul(by)
          .intoArray(factors, at + Lanes.N * part);
    }
  }

  /** Scales of a block of Q4_K or Q5_K, and minima with their sign changed. */
  static void scalesAndMins(long block, float[] factors, int at) {
    ByteVector codes = longs(KScales.scales(block + 4), KScales.mins(block + 4));
    float scale = Memory.getHalf(block);
    float min = -Memory.getHalf(block + 2);
    if (Lanes.N == CodeKernels.FACTORS) {
      FloatVector by = FloatVector.broadcast(Lanes.F, scale).blend(min, SECOND_HALF);
      ((FloatVector) codes.castShape(Lanes.F, 0)).mul(by).intoArray(factors, at);
    } else {
      ((FloatVector) codes.castShape(Lanes.F, 0)).mul(scale).intoArray(factors, at);
      ((FloatVector) codes.castShape(Lanes.F, 1))
          .mul(min)
          .intoArray(factors, at + CodeKernels.ADDENDS);
    }
  }

  /** The scale of 32 columns. */
  static void twice(float scale, float[] factors, int at) {
    factors[at] = scale;
    factors[at + 1] = scale;
  }
}

package dev.kvdrive.cpu;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * How the elements of stored weights are read into the lanes of a vector. All of it is exact.
 *
 * <p>Every method is small enough to be inlined always; a vector that crosses a call which was not
 * inlined is an object.
 */
final class StoredLanes {
  /** As many bytes as a vector has floats, or 8 where that would be too few for a vector. */
  static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, 8 * Lanes.N)));

  private static final IntVector LANE = IntVector.zero(Lanes.I).addIndex(1);
  private static final IntVector BYTES_TO_TOP = IntVector.zero(Lanes.I).addIndex(-8).add(24);

  private StoredLanes() {}

  /** The half-precision floats at {@code address}. */
  static FloatVector halfs(long address) {
    // Sign and payload go to their places in a float whose exponent is then 112 too small. The
    // multiplication is exact and gets subnormals right as well; infinities and NaNs had exponent
    // 31 and have 143 then, where 255 must be.
    FloatVector v =
        shorts(address)
            .lanewise(VectorOperators.LSHL, 13)
            .lanewise(VectorOperators.AND, 0x8fff_e000)
            .reinterpretAsFloats()
            .mul(0x1p112f);
    return v.blend(
        v.reinterpretAsInts().lanewise(VectorOperators.OR, 0x7f80_0000).reinterpretAsFloats(),
        v.abs().compare(VectorOperators.GE, 0x1p16f));
  }

  private static IntVector shorts(long address) {
    return (IntVector)
        ShortVector.fromMemorySegment(Lanes.S, Memory.ALL, Memory.inBounds(address), Memory.ORDER)
            .convertShape(VectorOperators.S2I, Lanes.I, 0);
  }

  /** Bytes 0 to 255 as ints. */
  static IntVector unsignedBytes(long address) {
    if (Lanes.N == 4) {
      return fourBytes(address).lanewise(VectorOperators.LSHR, 24);
    }
    return (IntVector)
        ByteVector.fromMemorySegment(BYTES, Memory.ALL, Memory.inBounds(address), Memory.ORDER)
            .convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.I, 0);
  }

  /** Bytes -128 to 127 as ints. */
  static IntVector signedBytes(long address) {
    if (Lanes.N == 4) {
      return fourBytes(address).lanewise(VectorOperators.ASHR, 24);
    }
    return (IntVector)
        ByteVector.fromMemorySegment(BYTES, Memory.ALL, Memory.inBounds(address), Memory.ORDER)
            .convertShape(VectorOperators.B2I, Lanes.I, 0);
  }

  /** Four bytes in the upper bytes of four ints: there is no vector of 32 bits. */
  private static IntVector fourBytes(long address) {
    return IntVector.broadcast(Lanes.I, Memory.getInt(address))
        .lanewise(VectorOperators.LSHL, BYTES_TO_TOP);
  }

  /** Bit l of {@code bits} in lane l, moved up by {@code up} bits. */
  static IntVector bits(int bits, int up) {
    return IntVector.broadcast(Lanes.I, bits)
        .lanewise(VectorOperators.LSHR, LANE)
        .lanewise(VectorOperators.AND, 1)
        .lanewise(VectorOperators.LSHL, up);
  }

  static FloatVector floats(IntVector ints) {
    return (FloatVector) ints.convertShape(VectorOperators.I2F, Lanes.F, 0);
  }

  /** Elements i to i + L - 1 of 32 whose low nibbles are the first 16 elements. */
  static FloatVector nibbles(long from, int i) {
    return floats(nibbleInts(from, i));
  }

  static IntVector nibbleInts(long from, int i) {
    return unsignedBytes(from + (i & 15))
        .lanewise(VectorOperators.LSHR, i >> 4 << 2)
        .lanewise(VectorOperators.AND, 15);
  }

  /** Nibbles with bit i + l of {@code high} as the fifth bit of lane l. */
  static FloatVector fiveBits(long from, int high, int i) {
    return floats(nibbleInts(from, i).lanewise(VectorOperators.OR, bits(high >>> i, 4)));
  }

  /** Bits 2k of consecutive bytes. */
  static IntVector twoBits(long from, int k) {
    return unsignedBytes(from)
        .lanewise(VectorOperators.LSHR, 2 * k)
        .lanewise(VectorOperators.AND, 3);
  }

  /** What the nibbles of elements i to i + L - 1 of 32 stand for; {@code index} is scratch. */
  static FloatVector lookUp(float[] values, long from, int i, int[] index) {
    nibbleInts(from, i).intoArray(index, 0);
    return FloatVector.fromArray(Lanes.F, values, 0, index, 0);
  }
}

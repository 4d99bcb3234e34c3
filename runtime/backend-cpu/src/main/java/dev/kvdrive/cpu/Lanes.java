package dev.kvdrive.cpu;

import dev.kvdrive.plan.KvType;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Vector arithmetic with one order of operations, in the interpreter as in compiled code: sums over
 * lanes are trees of explicit additions (the order of {@code reduceLanes} is unspecified), and the
 * exponential is a polynomial of our own (that of the Vector API depends on whether it was
 * compiled).
 *
 * <p>Vectors are no objects only within what the compiler compiles as one. So whatever takes or
 * gives vectors in a step's attention and index is here and is always inlined, and what uses it is
 * in classes called {@code ...Kernels}, kernels between arrays and memory, which never are: each is
 * compiled by itself, small enough that nothing is left out of it (decisions 138, 144).
 */
final class Lanes {
  /** Floats, as wide as the machine has them. */
  static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;

  /** Ints beside {@link #F}. */
  static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;

  /** As many shorts as {@link #F} has floats. */
  static final VectorSpecies<Short> S =
      VectorSpecies.of(short.class, VectorShape.forBitSize(F.vectorBitSize() / 2));

  /** Lanes of {@link #F}. */
  static final int N = F.length();

  static final ByteOrder ORDER = Memory.ORDER;

  /** Keys whose products {@link #sums4} adds up at once. */
  static final int KEYS = 4;

  private static final VectorShuffle<Float> SWAP1 = swap(1);
  private static final VectorShuffle<Float> SWAP2 = swap(2);
  private static final VectorShuffle<Float> SWAP4 = swap(4);
  private static final VectorShuffle<Float> SWAP8 = swap(8);
  private static final VectorMask<Float> ODD1 = bit(1);
  private static final VectorMask<Float> EVEN1 = ODD1.not();
  private static final VectorMask<Float> ODD2 = bit(2);
  private static final VectorMask<Float> EVEN2 = ODD2.not();

  private static final float LOG2_E = 1.442695f;
  private static final float LN2_HIGH = 0.69314575f;
  private static final float LN2_LOW = 1.4286068e-6f;

  /** Added and subtracted, it rounds to the nearest integer. */
  private static final float ROUNDER = 0x1.8p23f;

  /** Bits of the root of 1/2. */
  private static final int ROOT_OF_HALF = Float.floatToRawIntBits((float) Math.sqrt(0.5));

  /** Below, the exponential is given as 0: the smallest normal float is exp(-87.3). */
  private static final float EXP_LOWEST = -87f;

  private static final float EXP_HIGHEST = 88f;

  private Lanes() {}

  private static VectorShuffle<Float> swap(int bit) {
    return VectorShuffle.fromOp(F, lane -> lane ^ (bit < F.length() ? bit : 0));
  }

  private static VectorMask<Float> bit(int bit) {
    boolean[] lanes = new boolean[F.length()];
    for (int lane = 0; lane < lanes.length; lane++) {
      lanes[lane] = (lane & bit) != 0;
    }
    return VectorMask.fromArray(F, lanes, 0);
  }

  static FloatVector load(long address) {
    return FloatVector.fromMemorySegment(F, Memory.ALL, Memory.inBounds(address), ORDER);
  }

  /** {@link #I} as wide. */
  static IntVector loadInts(long address) {
    return IntVector.fromMemorySegment(I, Memory.ALL, Memory.inBounds(address), ORDER);
  }

  /** Elements {@code i} and on of a row of keys or values. */
  static FloatVector load(KvType type, long row, int i) {
    return type == KvType.BF16 ? loadBfloat16(row + 2L * i) : load(row + 4L * i);
  }

  /** The same where the row has but {@code count} more, and zeros. */
  static FloatVector loadFirst(KvType type, long row, int i, int count) {
    if (type == KvType.F32) {
      return FloatVector.fromMemorySegment(
          F, Memory.ALL, Memory.inBounds(row + 4L * i), ORDER, F.indexInRange(0, count));
    }
    return widened(
        ShortVector.fromMemorySegment(
            S, Memory.ALL, Memory.inBounds(row + 2L * i), ORDER, S.indexInRange(0, count)));
  }

  static void store(FloatVector vector, long address) {
    vector.intoMemorySegment(Memory.ALL, Memory.inBounds(address), ORDER);
  }

  static void store(IntVector vector, long address) {
    vector.intoMemorySegment(Memory.ALL, Memory.inBounds(address), ORDER);
  }

  /** {@link #N} bf16 values as floats. */
  static FloatVector loadBfloat16(long address) {
    return widened(ShortVector.fromMemorySegment(S, Memory.ALL, Memory.inBounds(address), ORDER));
  }

  private static FloatVector widened(ShortVector bfloat16) {
    return ((IntVector) bfloat16.convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0))
        .lanewise(VectorOperators.LSHL, 16)
        .reinterpretAsFloats();
  }

  /** {@link #N} bytes as floats; eight are read where there are but four lanes. */
  static FloatVector loadBytes(long address) {
    // At once: by way of ints, products take half as long again.
    return (FloatVector)
        ByteVector.fromMemorySegment(StoredLanes.BYTES, Memory.ALL, Memory.inBounds(address), ORDER)
            .castShape(F, 0);
  }

  /** The same where there are but {@code count} more, and zeros. */
  static FloatVector firstBytes(long address, int count) {
    return (FloatVector)
        ByteVector.fromMemorySegment(
                StoredLanes.BYTES,
                Memory.ALL,
                Memory.inBounds(address),
                ORDER,
                StoredLanes.BYTES.indexInRange(0, count))
            .castShape(F, 0);
  }

  /**
   * Adds what the lowest bits of codes select of a table, which has as many entries as there are
   * lanes.
   */
  static FloatVector lookUp(FloatVector sum, IntVector code, IntVector table) {
    return sum.add(code.selectFrom(table).reinterpretAsFloats());
  }

  /** Rounds to bf16, ties to even; a NaN stays a quiet NaN. */
  static void storeBfloat16(FloatVector vector, long address) {
    IntVector bits = vector.reinterpretAsInts();
    IntVector odd = bits.lanewise(VectorOperators.LSHR, 16).and(1);
    IntVector rounded = bits.add(odd.add(0x7fff)).lanewise(VectorOperators.LSHR, 16);
    IntVector quiet = bits.lanewise(VectorOperators.LSHR, 16).or(0x40);
    VectorMask<Integer> nan = vector.test(VectorOperators.IS_NAN).cast(I);
    ((ShortVector) rounded.blend(quiet, nan).convertShape(VectorOperators.I2S, S, 0))
        .intoMemorySegment(Memory.ALL, Memory.inBounds(address), ORDER);
  }

  /** The lanes of each pair changed over: 1, 0, 3, 2, ... */
  static FloatVector swapNeighbours(FloatVector v) {
    return v.rearrange(SWAP1);
  }

  /**
   * The larger of each lane; {@code a} where {@code b} is not a number. Two instructions, where
   * Java's maximum, which orders zeros and keeps NaNs, takes five.
   */
  static FloatVector larger(FloatVector a, FloatVector b) {
    return a.blend(b, b.compare(VectorOperators.GT, a));
  }

  /** Sum of all lanes: neighbours first, then pairs of them, and so on. */
  static float sum(FloatVector v) {
    FloatVector sum = v.add(v.rearrange(SWAP1));
    sum = sum.add(sum.rearrange(SWAP2));
    if (N > 4) {
      sum = sum.add(sum.rearrange(SWAP4));
    }
    if (N > 8) {
      sum = sum.add(sum.rearrange(SWAP8));
    }
    return sum.lane(0);
  }

  /** The largest lane. */
  static float largest(FloatVector v) {
    FloatVector most = larger(v, v.rearrange(SWAP1));
    most = larger(most, most.rearrange(SWAP2));
    if (N > 4) {
      most = larger(most, most.rearrange(SWAP4));
    }
    if (N > 8) {
      most = larger(most, most.rearrange(SWAP8));
    }
    return most.lane(0);
  }

  /** Writes lanes 0 to 3. */
  static void first4(FloatVector v, float[] to, int at) {
    ((FloatVector) v.reinterpretShape(FloatVector.SPECIES_128, 0)).intoArray(to, at);
  }

  /** The sums of all lanes of four vectors in lanes 0 to 3, each as {@link #sum} adds them. */
  static FloatVector sums4(FloatVector a, FloatVector b, FloatVector c, FloatVector d) {
    FloatVector ab = a.blend(b, ODD1).add(a.blend(b, EVEN1).rearrange(SWAP1));
    FloatVector cd = c.blend(d, ODD1).add(c.blend(d, EVEN1).rearrange(SWAP1));
    FloatVector sum = ab.blend(cd, ODD2).add(ab.blend(cd, EVEN2).rearrange(SWAP2));
    if (N > 4) {
      sum = sum.add(sum.rearrange(SWAP4));
    }
    if (N > 8) {
      sum = sum.add(sum.rearrange(SWAP8));
    }
    return sum;
  }

  /**
   * exp(x), within 3 units in the last place, 0 below {@value #EXP_LOWEST}: exp(x) = 2^n * exp(r)
   * with r = x - n ln 2, the polynomial of degree 6 being the Taylor sum with |r| up to ln 2 / 2.
   */
  static FloatVector exp(FloatVector x) {
    VectorMask<Float> vanishing = x.compare(VectorOperators.LT, EXP_LOWEST);
    FloatVector clamped =
        x.blend(EXP_LOWEST, vanishing)
            .blend(EXP_HIGHEST, x.compare(VectorOperators.GT, EXP_HIGHEST));
    FloatVector shifted = clamped.fma(broadcast(LOG2_E), broadcast(ROUNDER));
    FloatVector n = shifted.sub(ROUNDER);
    FloatVector r = n.fma(broadcast(-LN2_HIGH), clamped);
    r = n.fma(broadcast(-LN2_LOW), r);
    return scaled(polynomial(r), shifted).blend(0f, vanishing);
  }

  private static FloatVector polynomial(FloatVector r) {
    FloatVector p = r.fma(broadcast(1 / 720f), broadcast(1 / 120f));
    p = p.fma(r, broadcast(1 / 24f));
    p = p.fma(r, broadcast(1 / 6f));
    p = p.fma(r, broadcast(0.5f));
    p = p.fma(r, broadcast(1f));
    return p.fma(r, broadcast(1f));
  }

  /** {@code p} times 2^n, where n sits in the low bits of the shifted float. */
  private static FloatVector scaled(FloatVector p, FloatVector shifted) {
    return p.mul(
        shifted
            .reinterpretAsInts()
            .add(127)
            .lanewise(VectorOperators.LSHL, 23)
            .reinterpretAsFloats());
  }

  /**
   * exp(x) of numbers that are not positive, within 3 units in the last place, {@code exp(}{@value
   * #EXP_LOWEST}{@code )} below that: less than half a unit of any sum with a term of 1. Two thirds
   * of the instructions of {@link #exp(FloatVector)}.
   */
  static FloatVector decay(FloatVector x) {
    FloatVector clamped = larger(x, broadcast(EXP_LOWEST));
    FloatVector shifted = clamped.fma(broadcast(LOG2_E), broadcast(ROUNDER));
    FloatVector n = shifted.sub(ROUNDER);
    FloatVector r = n.fma(broadcast(-LN2_HIGH), clamped);
    r = n.fma(broadcast(-LN2_LOW), r);
    return scaled(polynomial(r), shifted);
  }

  /**
   * log(x) of normal positive numbers, within 2 units in the last place of the result or 1e-7,
   * whichever is more; anything for others: x = 2^n * m with m between the roots of 1/2 and 2, and
   * log(m) is twice the series of artanh(s) with s = (m - 1) / (m + 1), which is at most 0.172.
   */
  static FloatVector log(FloatVector x) {
    IntVector bits = x.reinterpretAsInts();
    // The exponent changes where the significand passes the root of 2, not where it passes 2.
    IntVector n = bits.sub(ROOT_OF_HALF).lanewise(VectorOperators.ASHR, 23);
    FloatVector m = bits.sub(n.lanewise(VectorOperators.LSHL, 23)).reinterpretAsFloats();
    FloatVector s = m.sub(1f).div(m.add(1f));
    FloatVector square = s.mul(s);
    FloatVector p = square.fma(broadcast(2 / 9f), broadcast(2 / 7f));
    p = p.fma(square, broadcast(2 / 5f));
    p = p.fma(square, broadcast(2 / 3f));
    p = p.fma(square, broadcast(2f));
    FloatVector exponent = (FloatVector) n.convertShape(VectorOperators.I2F, F, 0);
    return exponent.fma(broadcast(LN2_HIGH), p.mul(s).add(exponent.mul(LN2_LOW)));
  }

  private static FloatVector broadcast(float value) {
    return FloatVector.broadcast(F, value);
  }

  /** {@link #exp(FloatVector)} of one number, with the same bits. */
  static float exp(float x) {
    float clamped = Math.min(Math.max(x, EXP_LOWEST), EXP_HIGHEST);
    float shifted = Math.fma(clamped, LOG2_E, ROUNDER);
    float n = shifted - ROUNDER;
    float r = Math.fma(n, -LN2_HIGH, clamped);
    r = Math.fma(n, -LN2_LOW, r);
    float p = Math.fma(r, 1 / 720f, 1 / 120f);
    p = Math.fma(p, r, 1 / 24f);
    p = Math.fma(p, r, 1 / 6f);
    p = Math.fma(p, r, 0.5f);
    p = Math.fma(p, r, 1f);
    p = Math.fma(p, r, 1f);
    float scale = Float.intBitsToFloat((Float.floatToRawIntBits(shifted) + 127) << 23);
    return x < EXP_LOWEST ? 0 : p * scale;
  }
}

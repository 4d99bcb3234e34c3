package dev.kvdrive.cpu;

import dev.kvdrive.device.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * One row of activations times four rows of weights, straight from their stored blocks: decode with
 * one sequence, where every weight is used once and memory is the limit. Values have the bits that
 * {@link Unpack} gives them, and their products are added in the order of {@link WeightTile}.
 *
 * <p>The loops are written out, with calls of the Vector API and nothing between: the compiler
 * stops inlining other methods where a kernel has grown large, and a vector that is passed to a
 * call is an object.
 */
final class RowDots {
  private static final MemorySegment M = Memory.ALL;
  private static final ByteOrder O = Memory.ORDER;
  private static final VectorSpecies<Float> S = Lanes.F;
  private static final VectorSpecies<Byte> B = StoredLanes.BYTES;
  private static final int L = Lanes.N;

  private RowDots() {}

  /** Whether there is a kernel for rows of this type and width. */
  static boolean serves(TensorType type, int cols) {
    return cols % L == 0
        && switch (type) {
          case F32, BF16 -> true;
          case Q8_0, Q4_0 -> L > 4;
          default -> false;
        };
  }

  /**
   * Writes the vectors of sums of four outputs to {@code sums}.
   *
   * @param w0 address of a row of weights, as {@code w1} to {@code w3}
   */
  static void four(
      TensorType type, long w0, long w1, long w2, long w3, int cols, float[] x, float[] sums) {
    switch (type) {
      case F32 -> f32(w0, w1, w2, w3, cols, x, sums);
      case BF16 -> bf16(w0, w1, w2, w3, cols, x, sums);
      case Q8_0 -> q8(w0, w1, w2, w3, cols / 32, x, sums);
      case Q4_0 -> q4(w0, w1, w2, w3, cols / 32, x, sums);
      default -> throw new IllegalArgumentException("no kernel for rows of " + type);
    }
  }

  private static void f32(long w0, long w1, long w2, long w3, int cols, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int i = 0; i < cols; i += L) {
      FloatVector v = FloatVector.fromArray(S, x, i);
      a = FloatVector.fromMemorySegment(S, M, w0 + 4L * i, O).fma(v, a);
      b = FloatVector.fromMemorySegment(S, M, w1 + 4L * i, O).fma(v, b);
      c = FloatVector.fromMemorySegment(S, M, w2 + 4L * i, O).fma(v, c);
      d = FloatVector.fromMemorySegment(S, M, w3 + 4L * i, O).fma(v, d);
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void bf16(long w0, long w1, long w2, long w3, int cols, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int i = 0; i < cols; i += L) {
      FloatVector v = FloatVector.fromArray(S, x, i);
      a =
          ((IntVector)
                  ShortVector.fromMemorySegment(Lanes.S, M, w0 + 2L * i, O).castShape(Lanes.I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, a);
      b =
          ((IntVector)
                  ShortVector.fromMemorySegment(Lanes.S, M, w1 + 2L * i, O).castShape(Lanes.I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, b);
      c =
          ((IntVector)
                  ShortVector.fromMemorySegment(Lanes.S, M, w2 + 2L * i, O).castShape(Lanes.I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, c);
      d =
          ((IntVector)
                  ShortVector.fromMemorySegment(Lanes.S, M, w3 + 2L * i, O).castShape(Lanes.I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, d);
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void q8(long w0, long w1, long w2, long w3, int blocks, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int block = 0; block < blocks; block++) {
      long at = 34L * block;
      float sa = Float.float16ToFloat(M.get(Memory.SHORT, w0 + at));
      float sb = Float.float16ToFloat(M.get(Memory.SHORT, w1 + at));
      float sc = Float.float16ToFloat(M.get(Memory.SHORT, w2 + at));
      float sd = Float.float16ToFloat(M.get(Memory.SHORT, w3 + at));
      for (int i = 0; i < 32; i += L) {
        FloatVector v = FloatVector.fromArray(S, x, 32 * block + i);
        a =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, w0 + at + 2 + i, O).castShape(S, 0))
                .mul(sa)
                .fma(v, a);
        b =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, w1 + at + 2 + i, O).castShape(S, 0))
                .mul(sb)
                .fma(v, b);
        c =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, w2 + at + 2 + i, O).castShape(S, 0))
                .mul(sc)
                .fma(v, c);
        d =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, w3 + at + 2 + i, O).castShape(S, 0))
                .mul(sd)
                .fma(v, d);
      }
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void q4(long w0, long w1, long w2, long w3, int blocks, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int block = 0; block < blocks; block++) {
      long at = 18L * block;
      float sa = Float.float16ToFloat(M.get(Memory.SHORT, w0 + at));
      float sb = Float.float16ToFloat(M.get(Memory.SHORT, w1 + at));
      float sc = Float.float16ToFloat(M.get(Memory.SHORT, w2 + at));
      float sd = Float.float16ToFloat(M.get(Memory.SHORT, w3 + at));
      FloatVector ma = FloatVector.broadcast(S, -8 * sa);
      FloatVector mb = FloatVector.broadcast(S, -8 * sb);
      FloatVector mc = FloatVector.broadcast(S, -8 * sc);
      FloatVector md = FloatVector.broadcast(S, -8 * sd);
      for (int i = 0; i < 32; i += L) {
        FloatVector v = FloatVector.fromArray(S, x, 32 * block + i);
        int shift = i >> 4 << 2;
        a =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, w0 + at + 2 + (i & 15), O)
                                .castShape(Lanes.I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, sa), ma)
                .fma(v, a);
        b =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, w1 + at + 2 + (i & 15), O)
                                .castShape(Lanes.I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, sb), mb)
                .fma(v, b);
        c =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, w2 + at + 2 + (i & 15), O)
                                .castShape(Lanes.I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, sc), mc)
                .fma(v, c);
        d =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, w3 + at + 2 + (i & 15), O)
                                .castShape(Lanes.I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, sd), md)
                .fma(v, d);
      }
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * One or four rows of activations times four rows of weights, straight from their stored blocks:
 * decode, where every weight is used once or a few times and memory is the limit. Values have the
 * bits that {@link UnpackKernels} gives them; operands, sums and the order of the products are
 * those of {@link WeightTileKernels}.
 *
 * <p>The loops are written out, with calls of the Vector API and nothing between: the compiler
 * stops inlining other methods where a kernel has grown large, and a vector that is passed to a
 * call is an object.
 */
final class RowDotKernels {
  private static final MemorySegment M = Memory.ALL;
  private static final ByteOrder O = Memory.ORDER;
  private static final VectorSpecies<Float> S = Lanes.F;
  private static final VectorSpecies<Integer> I = Lanes.I;
  private static final VectorSpecies<Byte> B = StoredLanes.BYTES;
  private static final int L = Lanes.N;

  /** Bits of an address: see {@link Memory#inBounds}. */
  private static final long A = Memory.ADDRESS;

  private RowDotKernels() {}

  /** Whether there is a kernel for this many rows of activations and for such rows of weights. */
  static boolean serves(TensorType type, int rows, int cols) {
    if (cols % L != 0) {
      return false;
    }
    return switch (type) {
      case BF16 -> true;
      case F32 -> rows == 1;
      case Q8_0 -> L > 4;
      case Q4_0 -> rows == 1 && L > 4;
      default -> false;
    };
  }

  /**
   * Writes the vectors of sums of one row of activations with four outputs. Activations and sums
   * are at the start of their arrays: of an index that begins elsewhere the compiler checks the
   * bounds in every step.
   *
   * @param w0 address of the first output's weights, as {@code w1} to {@code w3} of the others'
   */
  static void one(
      TensorType type, long w0, long w1, long w2, long w3, int cols, float[] x, float[] sums) {
    switch (type) {
      case F32 -> f32(w0, w1, w2, w3, cols, x, sums);
      case BF16 -> bf16(w0, w1, w2, w3, cols, x, sums);
      case Q8_0 -> {
        if (L == 16) {
          q8Halves(w0, w1, w2, w3, cols / 32, x, sums);
        } else {
          q8(w0, w1, w2, w3, cols / 32, x, sums);
        }
      }
      case Q4_0 -> q4(w0, w1, w2, w3, cols / 32, x, sums);
      default -> throw none(type);
    }
  }

  /** The same of {@link WeightTileKernels#ROWS} interleaved rows from {@code xAt}. */
  static void four(
      TensorType type,
      long w0,
      long w1,
      long w2,
      long w3,
      int cols,
      float[] x,
      int xAt,
      float[] sums,
      int at) {
    switch (type) {
      case BF16 -> bf16Four(w0, w1, w2, w3, cols, x, xAt, sums, at);
      case Q8_0 -> q8Four(w0, w1, w2, w3, cols / 32, x, xAt, sums, at);
      default -> throw none(type);
    }
  }

  private static IllegalArgumentException none(TensorType type) {
    return new IllegalArgumentException("no kernel for rows of " + type);
  }

  private static void f32(long w0, long w1, long w2, long w3, int cols, float[] x, float[] sums) {
    long p0 = w0 & A;
    long p1 = w1 & A;
    long p2 = w2 & A;
    long p3 = w3 & A;
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int i = 0; i < cols; i += L) {
      FloatVector v = FloatVector.fromArray(S, x, i);
      a = FloatVector.fromMemorySegment(S, M, p0 + 4L * i, O).fma(v, a);
      b = FloatVector.fromMemorySegment(S, M, p1 + 4L * i, O).fma(v, b);
      c = FloatVector.fromMemorySegment(S, M, p2 + 4L * i, O).fma(v, c);
      d = FloatVector.fromMemorySegment(S, M, p3 + 4L * i, O).fma(v, d);
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void bf16(long w0, long w1, long w2, long w3, int cols, float[] x, float[] sums) {
    long p0 = w0 & A;
    long p1 = w1 & A;
    long p2 = w2 & A;
    long p3 = w3 & A;
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int i = 0; i < cols; i += L) {
      FloatVector v = FloatVector.fromArray(S, x, i);
      a =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p0 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, a);
      b =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p1 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, b);
      c =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p2 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, c);
      d =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p3 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, d);
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void bf16Four(
      long w0, long w1, long w2, long w3, int cols, float[] x, int xAt, float[] sums, int at) {
    long p0 = w0 & A;
    long p1 = w1 & A;
    long p2 = w2 & A;
    long p3 = w3 & A;
    FloatVector a0 = FloatVector.zero(S);
    FloatVector a1 = FloatVector.zero(S);
    FloatVector a2 = FloatVector.zero(S);
    FloatVector a3 = FloatVector.zero(S);
    FloatVector b0 = FloatVector.zero(S);
    FloatVector b1 = FloatVector.zero(S);
    FloatVector b2 = FloatVector.zero(S);
    FloatVector b3 = FloatVector.zero(S);
    FloatVector c0 = FloatVector.zero(S);
    FloatVector c1 = FloatVector.zero(S);
    FloatVector c2 = FloatVector.zero(S);
    FloatVector c3 = FloatVector.zero(S);
    FloatVector d0 = FloatVector.zero(S);
    FloatVector d1 = FloatVector.zero(S);
    FloatVector d2 = FloatVector.zero(S);
    FloatVector d3 = FloatVector.zero(S);
    for (int i = 0; i < cols; i += L) {
      int xi = xAt + 4 * i;
      FloatVector v0 = FloatVector.fromArray(S, x, xi);
      FloatVector v1 = FloatVector.fromArray(S, x, xi + L);
      FloatVector v2 = FloatVector.fromArray(S, x, xi + 2 * L);
      FloatVector v3 = FloatVector.fromArray(S, x, xi + 3 * L);
      FloatVector w =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p0 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      a0 = w.fma(v0, a0);
      a1 = w.fma(v1, a1);
      a2 = w.fma(v2, a2);
      a3 = w.fma(v3, a3);
      w =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p1 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      b0 = w.fma(v0, b0);
      b1 = w.fma(v1, b1);
      b2 = w.fma(v2, b2);
      b3 = w.fma(v3, b3);
      w =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p2 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      c0 = w.fma(v0, c0);
      c1 = w.fma(v1, c1);
      c2 = w.fma(v2, c2);
      c3 = w.fma(v3, c3);
      w =
          ((IntVector) ShortVector.fromMemorySegment(Lanes.S, M, p3 + 2L * i, O).castShape(I, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      d0 = w.fma(v0, d0);
      d1 = w.fma(v1, d1);
      d2 = w.fma(v2, d2);
      d3 = w.fma(v3, d3);
    }
    a0.intoArray(sums, at);
    b0.intoArray(sums, at + L);
    c0.intoArray(sums, at + 2 * L);
    d0.intoArray(sums, at + 3 * L);
    a1.intoArray(sums, at + 4 * L);
    b1.intoArray(sums, at + 5 * L);
    c1.intoArray(sums, at + 6 * L);
    d1.intoArray(sums, at + 7 * L);
    a2.intoArray(sums, at + 8 * L);
    b2.intoArray(sums, at + 9 * L);
    c2.intoArray(sums, at + 10 * L);
    d2.intoArray(sums, at + 11 * L);
    a3.intoArray(sums, at + 12 * L);
    b3.intoArray(sums, at + 13 * L);
    c3.intoArray(sums, at + 14 * L);
    d3.intoArray(sums, at + 15 * L);
  }

  private static void q8(long w0, long w1, long w2, long w3, int blocks, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int block = 0; block < blocks; block++) {
      long from = 34L * block;
      long p0 = (w0 + from) & A;
      long p1 = (w1 + from) & A;
      long p2 = (w2 + from) & A;
      long p3 = (w3 + from) & A;
      float s0 = Float.float16ToFloat(M.get(Memory.SHORT, p0));
      float s1 = Float.float16ToFloat(M.get(Memory.SHORT, p1));
      float s2 = Float.float16ToFloat(M.get(Memory.SHORT, p2));
      float s3 = Float.float16ToFloat(M.get(Memory.SHORT, p3));
      for (int i = 0; i < 32; i += L) {
        FloatVector v = FloatVector.fromArray(S, x, 32 * block + i);
        a =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p0 + 2 + i, O).castShape(S, 0))
                .mul(s0)
                .fma(v, a);
        b =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p1 + 2 + i, O).castShape(S, 0))
                .mul(s1)
                .fma(v, b);
        c =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p2 + 2 + i, O).castShape(S, 0))
                .mul(s2)
                .fma(v, c);
        d =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p3 + 2 + i, O).castShape(S, 0))
                .mul(s3)
                .fma(v, d);
      }
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  /**
   * {@link #q8} of blocks that are two vectors, written out: from memory it is faster by a third
   * than a loop of two, whose reads the compiler brings into another order (decision 165).
   */
  private static void q8Halves(
      long w0, long w1, long w2, long w3, int blocks, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int block = 0; block < blocks; block++) {
      long from = 34L * block;
      long p0 = (w0 + from) & A;
      long p1 = (w1 + from) & A;
      long p2 = (w2 + from) & A;
      long p3 = (w3 + from) & A;
      FloatVector s0 = FloatVector.broadcast(S, Float.float16ToFloat(M.get(Memory.SHORT, p0)));
      FloatVector s1 = FloatVector.broadcast(S, Float.float16ToFloat(M.get(Memory.SHORT, p1)));
      FloatVector s2 = FloatVector.broadcast(S, Float.float16ToFloat(M.get(Memory.SHORT, p2)));
      FloatVector s3 = FloatVector.broadcast(S, Float.float16ToFloat(M.get(Memory.SHORT, p3)));
      FloatVector v = FloatVector.fromArray(S, x, 32 * block);
      a =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p0 + 2, O).castShape(S, 0))
              .mul(s0)
              .fma(v, a);
      b =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p1 + 2, O).castShape(S, 0))
              .mul(s1)
              .fma(v, b);
      c =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p2 + 2, O).castShape(S, 0))
              .mul(s2)
              .fma(v, c);
      d =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p3 + 2, O).castShape(S, 0))
              .mul(s3)
              .fma(v, d);
      v = FloatVector.fromArray(S, x, 32 * block + L);
      a =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p0 + 2 + L, O).castShape(S, 0))
              .mul(s0)
              .fma(v, a);
      b =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p1 + 2 + L, O).castShape(S, 0))
              .mul(s1)
              .fma(v, b);
      c =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p2 + 2 + L, O).castShape(S, 0))
              .mul(s2)
              .fma(v, c);
      d =
          ((FloatVector) ByteVector.fromMemorySegment(B, M, p3 + 2 + L, O).castShape(S, 0))
              .mul(s3)
              .fma(v, d);
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void q8Four(
      long w0, long w1, long w2, long w3, int blocks, float[] x, int xAt, float[] sums, int at) {
    FloatVector a0 = FloatVector.zero(S);
    FloatVector a1 = FloatVector.zero(S);
    FloatVector a2 = FloatVector.zero(S);
    FloatVector a3 = FloatVector.zero(S);
    FloatVector b0 = FloatVector.zero(S);
    FloatVector b1 = FloatVector.zero(S);
    FloatVector b2 = FloatVector.zero(S);
    FloatVector b3 = FloatVector.zero(S);
    FloatVector c0 = FloatVector.zero(S);
    FloatVector c1 = FloatVector.zero(S);
    FloatVector c2 = FloatVector.zero(S);
    FloatVector c3 = FloatVector.zero(S);
    FloatVector d0 = FloatVector.zero(S);
    FloatVector d1 = FloatVector.zero(S);
    FloatVector d2 = FloatVector.zero(S);
    FloatVector d3 = FloatVector.zero(S);
    for (int block = 0; block < blocks; block++) {
      long from = 34L * block;
      long p0 = (w0 + from) & A;
      long p1 = (w1 + from) & A;
      long p2 = (w2 + from) & A;
      long p3 = (w3 + from) & A;
      float s0 = Float.float16ToFloat(M.get(Memory.SHORT, p0));
      float s1 = Float.float16ToFloat(M.get(Memory.SHORT, p1));
      float s2 = Float.float16ToFloat(M.get(Memory.SHORT, p2));
      float s3 = Float.float16ToFloat(M.get(Memory.SHORT, p3));
      for (int i = 0; i < 32; i += L) {
        int xi = xAt + 4 * (32 * block + i);
        FloatVector v0 = FloatVector.fromArray(S, x, xi);
        FloatVector v1 = FloatVector.fromArray(S, x, xi + L);
        FloatVector v2 = FloatVector.fromArray(S, x, xi + 2 * L);
        FloatVector v3 = FloatVector.fromArray(S, x, xi + 3 * L);
        FloatVector w =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p0 + 2 + i, O).castShape(S, 0))
                .mul(s0);
        a0 = w.fma(v0, a0);
        a1 = w.fma(v1, a1);
        a2 = w.fma(v2, a2);
        a3 = w.fma(v3, a3);
        w =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p1 + 2 + i, O).castShape(S, 0))
                .mul(s1);
        b0 = w.fma(v0, b0);
        b1 = w.fma(v1, b1);
        b2 = w.fma(v2, b2);
        b3 = w.fma(v3, b3);
        w =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p2 + 2 + i, O).castShape(S, 0))
                .mul(s2);
        c0 = w.fma(v0, c0);
        c1 = w.fma(v1, c1);
        c2 = w.fma(v2, c2);
        c3 = w.fma(v3, c3);
        w =
            ((FloatVector) ByteVector.fromMemorySegment(B, M, p3 + 2 + i, O).castShape(S, 0))
                .mul(s3);
        d0 = w.fma(v0, d0);
        d1 = w.fma(v1, d1);
        d2 = w.fma(v2, d2);
        d3 = w.fma(v3, d3);
      }
    }
    a0.intoArray(sums, at);
    b0.intoArray(sums, at + L);
    c0.intoArray(sums, at + 2 * L);
    d0.intoArray(sums, at + 3 * L);
    a1.intoArray(sums, at + 4 * L);
    b1.intoArray(sums, at + 5 * L);
    c1.intoArray(sums, at + 6 * L);
    d1.intoArray(sums, at + 7 * L);
    a2.intoArray(sums, at + 8 * L);
    b2.intoArray(sums, at + 9 * L);
    c2.intoArray(sums, at + 10 * L);
    d2.intoArray(sums, at + 11 * L);
    a3.intoArray(sums, at + 12 * L);
    b3.intoArray(sums, at + 13 * L);
    c3.intoArray(sums, at + 14 * L);
    d3.intoArray(sums, at + 15 * L);
  }

  private static void q4(long w0, long w1, long w2, long w3, int blocks, float[] x, float[] sums) {
    FloatVector a = FloatVector.zero(S);
    FloatVector b = FloatVector.zero(S);
    FloatVector c = FloatVector.zero(S);
    FloatVector d = FloatVector.zero(S);
    for (int block = 0; block < blocks; block++) {
      long from = 18L * block;
      long p0 = (w0 + from) & A;
      long p1 = (w1 + from) & A;
      long p2 = (w2 + from) & A;
      long p3 = (w3 + from) & A;
      float s0 = Float.float16ToFloat(M.get(Memory.SHORT, p0));
      float s1 = Float.float16ToFloat(M.get(Memory.SHORT, p1));
      float s2 = Float.float16ToFloat(M.get(Memory.SHORT, p2));
      float s3 = Float.float16ToFloat(M.get(Memory.SHORT, p3));
      for (int i = 0; i < 32; i += L) {
        FloatVector v = FloatVector.fromArray(S, x, 32 * block + i);
        int shift = i >> 4 << 2;
        a =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, p0 + 2 + (i & 15), O)
                                .castShape(I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, s0), FloatVector.broadcast(S, -8 * s0))
                .fma(v, a);
        b =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, p1 + 2 + (i & 15), O)
                                .castShape(I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, s1), FloatVector.broadcast(S, -8 * s1))
                .fma(v, b);
        c =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, p2 + 2 + (i & 15), O)
                                .castShape(I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, s2), FloatVector.broadcast(S, -8 * s2))
                .fma(v, c);
        d =
            ((FloatVector)
                    ((IntVector)
                            ByteVector.fromMemorySegment(B, M, p3 + 2 + (i & 15), O)
                                .castShape(I, 0))
                        .lanewise(VectorOperators.LSHR, shift)
                        .lanewise(VectorOperators.AND, 15)
                        .castShape(S, 0))
                .fma(FloatVector.broadcast(S, s3), FloatVector.broadcast(S, -8 * s3))
                .fma(v, d);
      }
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }
}

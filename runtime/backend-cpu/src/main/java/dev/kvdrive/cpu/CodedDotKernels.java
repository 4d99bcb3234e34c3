package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.TensorType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * One or four rows of activations times four rows of weights that {@link CodeKernels} has unpacked:
 * operands, sums and the order of the products are those of {@link WeightTileKernels}. Kernels: see
 * {@link Lanes}.
 */
final class CodedDotKernels {
  private static final VectorSpecies<Float> S = Lanes.F;
  private static final VectorSpecies<Byte> B = StoredLanes.BYTES;
  private static final int L = Lanes.N;
  private static final int ADDENDS = CodeKernels.ADDENDS;
  private static final int C1 = CodeKernels.COLS;
  private static final int C2 = 2 * CodeKernels.COLS;
  private static final int C3 = 3 * CodeKernels.COLS;
  private static final int F1 = CodeKernels.FACTORS;
  private static final int F2 = 2 * CodeKernels.FACTORS;
  private static final int F3 = 3 * CodeKernels.FACTORS;

  private CodedDotKernels() {}

  /**
   * Adds the products of one row of activations.
   *
   * @param type of the weights
   * @param xAt where the activations of the first unpacked column are
   * @param cols unpacked columns, a multiple of 32
   * @param sums the vectors of sums of the four outputs
   */
  static void one(
      TensorType type, float[] x, int xAt, byte[] codes, float[] factors, int cols, float[] sums) {
    if (CodeKernels.hasAddends(type)) {
      oneWithAddends(x, xAt, codes, factors, cols, sums);
    } else {
      one(x, xAt, codes, factors, cols, sums);
    }
  }

  /**
   * The same of {@link WeightTileKernels#ROWS} interleaved rows.
   *
   * @param sums those of a tile from {@code at}
   */
  static void four(
      TensorType type,
      float[] x,
      int xAt,
      byte[] codes,
      float[] factors,
      int cols,
      float[] sums,
      int at) {
    if (CodeKernels.hasAddends(type)) {
      fourWithAddends(x, xAt, codes, factors, cols, sums, at);
    } else {
      four(x, xAt, codes, factors, cols, sums, at);
    }
  }

  private static void one(
      float[] x, int xAt, byte[] codes, float[] factors, int cols, float[] sums) {
    FloatVector a = FloatVector.fromArray(S, sums, 0);
    FloatVector b = FloatVector.fromArray(S, sums, L);
    FloatVector c = FloatVector.fromArray(S, sums, 2 * L);
    FloatVector d = FloatVector.fromArray(S, sums, 3 * L);
    for (int g = 0; g < cols / 16; g++) {
      FloatVector s0 = FloatVector.broadcast(S, factors[g]);
      FloatVector s1 = FloatVector.broadcast(S, factors[g + F1]);
      FloatVector s2 = FloatVector.broadcast(S, factors[g + F2]);
      FloatVector s3 = FloatVector.broadcast(S, factors[g + F3]);
      for (int j = 0; j < 16; j += L) {
        int i = 16 * g + j;
        FloatVector v = FloatVector.fromArray(S, x, xAt + i);
        a = ((FloatVector) ByteVector.fromArray(B, codes, i).castShape(S, 0)).mul(s0).fma(v, a);
        b =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C1).castShape(S, 0))
                .mul(s1)
                .fma(v, b);
        c =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C2).castShape(S, 0))
                .mul(s2)
                .fma(v, c);
        d =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C3).castShape(S, 0))
                .mul(s3)
                .fma(v, d);
      }
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void oneWithAddends(
      float[] x, int xAt, byte[] codes, float[] factors, int cols, float[] sums) {
    FloatVector a = FloatVector.fromArray(S, sums, 0);
    FloatVector b = FloatVector.fromArray(S, sums, L);
    FloatVector c = FloatVector.fromArray(S, sums, 2 * L);
    FloatVector d = FloatVector.fromArray(S, sums, 3 * L);
    for (int g = 0; g < cols / 32; g++) {
      FloatVector s0 = FloatVector.broadcast(S, factors[g]);
      FloatVector n0 = FloatVector.broadcast(S, factors[g + ADDENDS]);
      FloatVector s1 = FloatVector.broadcast(S, factors[g + F1]);
      FloatVector n1 = FloatVector.broadcast(S, factors[g + F1 + ADDENDS]);
      FloatVector s2 = FloatVector.broadcast(S, factors[g + F2]);
      FloatVector n2 = FloatVector.broadcast(S, factors[g + F2 + ADDENDS]);
      FloatVector s3 = FloatVector.broadcast(S, factors[g + F3]);
      FloatVector n3 = FloatVector.broadcast(S, factors[g + F3 + ADDENDS]);
      for (int j = 0; j < 32; j += L) {
        int i = 32 * g + j;
        FloatVector v = FloatVector.fromArray(S, x, xAt + i);
        a = ((FloatVector) ByteVector.fromArray(B, codes, i).castShape(S, 0)).fma(s0, n0).fma(v, a);
        b =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C1).castShape(S, 0))
                .fma(s1, n1)
                .fma(v, b);
        c =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C2).castShape(S, 0))
                .fma(s2, n2)
                .fma(v, c);
        d =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C3).castShape(S, 0))
                .fma(s3, n3)
                .fma(v, d);
      }
    }
    a.intoArray(sums, 0);
    b.intoArray(sums, L);
    c.intoArray(sums, 2 * L);
    d.intoArray(sums, 3 * L);
  }

  private static void four(
      float[] x, int xAt, byte[] codes, float[] factors, int cols, float[] sums, int at) {
    FloatVector a0 = FloatVector.fromArray(S, sums, at);
    FloatVector a1 = FloatVector.fromArray(S, sums, at + L);
    FloatVector a2 = FloatVector.fromArray(S, sums, at + 2 * L);
    FloatVector a3 = FloatVector.fromArray(S, sums, at + 3 * L);
    FloatVector b0 = FloatVector.fromArray(S, sums, at + 4 * L);
    FloatVector b1 = FloatVector.fromArray(S, sums, at + 5 * L);
    FloatVector b2 = FloatVector.fromArray(S, sums, at + 6 * L);
    FloatVector b3 = FloatVector.fromArray(S, sums, at + 7 * L);
    FloatVector c0 = FloatVector.fromArray(S, sums, at + 8 * L);
    FloatVector c1 = FloatVector.fromArray(S, sums, at + 9 * L);
    FloatVector c2 = FloatVector.fromArray(S, sums, at + 10 * L);
    FloatVector c3 = FloatVector.fromArray(S, sums, at + 11 * L);
    FloatVector d0 = FloatVector.fromArray(S, sums, at + 12 * L);
    FloatVector d1 = FloatVector.fromArray(S, sums, at + 13 * L);
    FloatVector d2 = FloatVector.fromArray(S, sums, at + 14 * L);
    FloatVector d3 = FloatVector.fromArray(S, sums, at + 15 * L);
    for (int g = 0; g < cols / 16; g++) {
      for (int j = 0; j < 16; j += L) {
        int i = 16 * g + j;
        int xi = xAt + 4 * i;
        FloatVector a = FloatVector.fromArray(S, x, xi);
        FloatVector b = FloatVector.fromArray(S, x, xi + L);
        FloatVector c = FloatVector.fromArray(S, x, xi + 2 * L);
        FloatVector d = FloatVector.fromArray(S, x, xi + 3 * L);
        FloatVector v =
            ((FloatVector) ByteVector.fromArray(B, codes, i).castShape(S, 0)).mul(factors[g]);
        a0 = v.fma(a, a0);
        b0 = v.fma(b, b0);
        c0 = v.fma(c, c0);
        d0 = v.fma(d, d0);
        v =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C1).castShape(S, 0))
                .mul(factors[g + F1]);
        a1 = v.fma(a, a1);
        b1 = v.fma(b, b1);
        c1 = v.fma(c, c1);
        d1 = v.fma(d, d1);
        v =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C2).castShape(S, 0))
                .mul(factors[g + F2]);
        a2 = v.fma(a, a2);
        b2 = v.fma(b, b2);
        c2 = v.fma(c, c2);
        d2 = v.fma(d, d2);
        v =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C3).castShape(S, 0))
                .mul(factors[g + F3]);
        a3 = v.fma(a, a3);
        b3 = v.fma(b, b3);
        c3 = v.fma(c, c3);
        d3 = v.fma(d, d3);
      }
    }
    a0.intoArray(sums, at);
    a1.intoArray(sums, at + L);
    a2.intoArray(sums, at + 2 * L);
    a3.intoArray(sums, at + 3 * L);
    b0.intoArray(sums, at + 4 * L);
    b1.intoArray(sums, at + 5 * L);
    b2.intoArray(sums, at + 6 * L);
    b3.intoArray(sums, at + 7 * L);
    c0.intoArray(sums, at + 8 * L);
    c1.intoArray(sums, at + 9 * L);
    c2.intoArray(sums, at + 10 * L);
    c3.intoArray(sums, at + 11 * L);
    d0.intoArray(sums, at + 12 * L);
    d1.intoArray(sums, at + 13 * L);
    d2.intoArray(sums, at + 14 * L);
    d3.intoArray(sums, at + 15 * L);
  }

  private static void fourWithAddends(
      float[] x, int xAt, byte[] codes, float[] factors, int cols, float[] sums, int at) {
    FloatVector a0 = FloatVector.fromArray(S, sums, at);
    FloatVector a1 = FloatVector.fromArray(S, sums, at + L);
    FloatVector a2 = FloatVector.fromArray(S, sums, at + 2 * L);
    FloatVector a3 = FloatVector.fromArray(S, sums, at + 3 * L);
    FloatVector b0 = FloatVector.fromArray(S, sums, at + 4 * L);
    FloatVector b1 = FloatVector.fromArray(S, sums, at + 5 * L);
    FloatVector b2 = FloatVector.fromArray(S, sums, at + 6 * L);
    FloatVector b3 = FloatVector.fromArray(S, sums, at + 7 * L);
    FloatVector c0 = FloatVector.fromArray(S, sums, at + 8 * L);
    FloatVector c1 = FloatVector.fromArray(S, sums, at + 9 * L);
    FloatVector c2 = FloatVector.fromArray(S, sums, at + 10 * L);
    FloatVector c3 = FloatVector.fromArray(S, sums, at + 11 * L);
    FloatVector d0 = FloatVector.fromArray(S, sums, at + 12 * L);
    FloatVector d1 = FloatVector.fromArray(S, sums, at + 13 * L);
    FloatVector d2 = FloatVector.fromArray(S, sums, at + 14 * L);
    FloatVector d3 = FloatVector.fromArray(S, sums, at + 15 * L);
    for (int g = 0; g < cols / 32; g++) {
      for (int j = 0; j < 32; j += L) {
        int i = 32 * g + j;
        int xi = xAt + 4 * i;
        FloatVector a = FloatVector.fromArray(S, x, xi);
        FloatVector b = FloatVector.fromArray(S, x, xi + L);
        FloatVector c = FloatVector.fromArray(S, x, xi + 2 * L);
        FloatVector d = FloatVector.fromArray(S, x, xi + 3 * L);
        FloatVector v =
            ((FloatVector) ByteVector.fromArray(B, codes, i).castShape(S, 0))
                .fma(
                    FloatVector.broadcast(S, factors[g]),
                    FloatVector.broadcast(S, factors[g + ADDENDS]));
        a0 = v.fma(a, a0);
        b0 = v.fma(b, b0);
        c0 = v.fma(c, c0);
        d0 = v.fma(d, d0);
        v =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C1).castShape(S, 0))
                .fma(
                    FloatVector.broadcast(S, factors[g + F1]),
                    FloatVector.broadcast(S, factors[g + F1 + ADDENDS]));
        a1 = v.fma(a, a1);
        b1 = v.fma(b, b1);
        c1 = v.fma(c, c1);
        d1 = v.fma(d, d1);
        v =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C2).castShape(S, 0))
                .fma(
                    FloatVector.broadcast(S, factors[g + F2]),
                    FloatVector.broadcast(S, factors[g + F2 + ADDENDS]));
        a2 = v.fma(a, a2);
        b2 = v.fma(b, b2);
        c2 = v.fma(c, c2);
        d2 = v.fma(d, d2);
        v =
            ((FloatVector) ByteVector.fromArray(B, codes, i + C3).castShape(S, 0))
                .fma(
                    FloatVector.broadcast(S, factors[g + F3]),
                    FloatVector.broadcast(S, factors[g + F3 + ADDENDS]));
        a3 = v.fma(a, a3);
        b3 = v.fma(b, b3);
        c3 = v.fma(c, c3);
        d3 = v.fma(d, d3);
      }
    }
    a0.intoArray(sums, at);
    a1.intoArray(sums, at + L);
    a2.intoArray(sums, at + 2 * L);
    a3.intoArray(sums, at + 3 * L);
    b0.intoArray(sums, at + 4 * L);
    b1.intoArray(sums, at + 5 * L);
    b2.intoArray(sums, at + 6 * L);
    b3.intoArray(sums, at + 7 * L);
    c0.intoArray(sums, at + 8 * L);
    c1.intoArray(sums, at + 9 * L);
    c2.intoArray(sums, at + 10 * L);
    c3.intoArray(sums, at + 11 * L);
    d0.intoArray(sums, at + 12 * L);
    d1.intoArray(sums, at + 13 * L);
    d2.intoArray(sums, at + 14 * L);
    d3.intoArray(sums, at + 15 * L);
  }
}

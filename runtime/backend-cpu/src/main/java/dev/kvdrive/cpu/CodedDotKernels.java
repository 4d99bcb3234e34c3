package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.TensorType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * What becomes of four rows of weights that {@link CodeKernels} has unpacked: products with one row
 * of activations, whose operands, sums and order are those of {@link WeightTileKernels}, or a panel
 * for these. Kernels: see {@link Lanes}.
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
   * Writes the weights as a panel for {@link WeightTileKernels}: for each vector of columns that of
   * every output.
   *
   * @param type of the weights
   * @param cols unpacked columns, a multiple of 32
   * @param panel receives them from its start
   */
  static void panel(TensorType type, byte[] codes, float[] factors, int cols, float[] panel) {
    for (int o = 0; o < WeightTileKernels.OUTS; o++) {
      int code = CodeKernels.COLS * o;
      int factor = CodeKernels.FACTORS * o;
      if (CodeKernels.hasAddends(type)) {
        withAddends(codes, code, factors, factor, cols, panel, L * o);
      } else {
        scaled(codes, code, factors, factor, cols, panel, L * o);
      }
    }
  }

  private static void scaled(
      byte[] codes, int code, float[] factors, int factor, int cols, float[] panel, int to) {
    for (int g = 0; g < cols / 16; g++) {
      float scale = factors[factor + g];
      for (int j = 0; j < 16; j += L) {
        int i = 16 * g + j;
        ((FloatVector) ByteVector.fromArray(B, codes, code + i).castShape(S, 0))
            .mul(scale)
            .intoArray(panel, to + WeightTileKernels.OUTS * i);
      }
    }
  }

  private static void withAddends(
      byte[] codes, int code, float[] factors, int factor, int cols, float[] panel, int to) {
    for (int g = 0; g < cols / 32; g++) {
      FloatVector scale = FloatVector.broadcast(S, factors[factor + g]);
      FloatVector addend = FloatVector.broadcast(S, factors[factor + g + ADDENDS]);
      for (int j = 0; j < 32; j += L) {
        int i = 32 * g + j;
        ((FloatVector) ByteVector.fromArray(B, codes, code + i).castShape(S, 0))
            .fma(scale, addend)
            .intoArray(panel, to + WeightTileKernels.OUTS * i);
      }
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
}

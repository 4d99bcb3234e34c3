package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of one or four rows of activations with four rows of weights, kept in registers: each
 * (row, output) is one vector of sums, to which every step adds the product of a vector of
 * activations and a vector of weights, fused.
 *
 * <p>Operands are interleaved, so that a step reads from two places: {@code x} holds for each step
 * one vector of each row, {@code w} one vector of each of the four outputs. {@code sums} holds the
 * vectors of a tile, row by row. Operands are Java arrays because the bounds of their accesses are
 * checked once ahead of a loop, those of memory segments in every step.
 */
final class WeightTileKernels {
  /** Outputs of a tile. */
  static final int OUTS = 4;

  /** Rows of a tile, where it has not just one. */
  static final int ROWS = 4;

  private static final VectorSpecies<Float> S = Lanes.F;
  private static final int L = Lanes.N;

  private WeightTileKernels() {}

  /**
   * Adds {@code steps} products to the sums.
   *
   * @param rows 1 or {@link #ROWS}
   */
  static void multiply(
      int rows, float[] x, int xAt, float[] w, int wAt, int steps, float[] sums, int at) {
    if (rows == 1) {
      one(x, xAt, w, wAt, steps, sums, at);
    } else {
      four(x, xAt, w, wAt, steps, sums, at);
    }
  }

  private static void one(float[] x, int xAt, float[] w, int wAt, int steps, float[] sums, int at) {
    FloatVector a0 = FloatVector.fromArray(S, sums, at);
    FloatVector a1 = FloatVector.fromArray(S, sums, at + L);
    FloatVector a2 = FloatVector.fromArray(S, sums, at + 2 * L);
    FloatVector a3 = FloatVector.fromArray(S, sums, at + 3 * L);
    for (int i = 0; i < steps; i++) {
      int wi = wAt + i * (4 * L);
      FloatVector a = FloatVector.fromArray(S, x, xAt + i * L);
      a0 = FloatVector.fromArray(S, w, wi).fma(a, a0);
      a1 = FloatVector.fromArray(S, w, wi + L).fma(a, a1);
      a2 = FloatVector.fromArray(S, w, wi + 2 * L).fma(a, a2);
      a3 = FloatVector.fromArray(S, w, wi + 3 * L).fma(a, a3);
    }
    a0.intoArray(sums, at);
    a1.intoArray(sums, at + L);
    a2.intoArray(sums, at + 2 * L);
    a3.intoArray(sums, at + 3 * L);
  }

  private static void four(
      float[] x, int xAt, float[] w, int wAt, int steps, float[] sums, int at) {
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
    for (int i = 0; i < steps; i++) {
      int xi = xAt + i * (4 * L);
      int wi = wAt + i * (4 * L);
      FloatVector a = FloatVector.fromArray(S, x, xi);
      FloatVector b = FloatVector.fromArray(S, x, xi + L);
      FloatVector c = FloatVector.fromArray(S, x, xi + 2 * L);
      FloatVector d = FloatVector.fromArray(S, x, xi + 3 * L);
      FloatVector v = FloatVector.fromArray(S, w, wi);
      a0 = v.fma(a, a0);
      b0 = v.fma(b, b0);
      c0 = v.fma(c, c0);
      d0 = v.fma(d, d0);
      v = FloatVector.fromArray(S, w, wi + L);
      a1 = v.fma(a, a1);
      b1 = v.fma(b, b1);
      c1 = v.fma(c, c1);
      d1 = v.fma(d, d1);
      v = FloatVector.fromArray(S, w, wi + 2 * L);
      a2 = v.fma(a, a2);
      b2 = v.fma(b, b2);
      c2 = v.fma(c, c2);
      d2 = v.fma(d, d2);
      v = FloatVector.fromArray(S, w, wi + 3 * L);
      a3 = v.fma(a, a3);
      b3 = v.fma(b, b3);
      c3 = v.fma(c, c3);
      d3 = v.fma(d, d3);
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

  /**
   * Adds up the lanes of the sums of rows of tiles, each as {@link Lanes#sums4} does: then those of
   * a row's outputs are {@code sums[row * OUTS]} and on.
   */
  static void addLanes(float[] sums, int rows) {
    for (int row = 0; row < rows; row++) {
      int at = row * OUTS * L;
      Lanes.first4(
          Lanes.sums4(
              FloatVector.fromArray(S, sums, at),
              FloatVector.fromArray(S, sums, at + L),
              FloatVector.fromArray(S, sums, at + 2 * L),
              FloatVector.fromArray(S, sums, at + 3 * L)),
          sums,
          row * OUTS);
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Keys and weights of a tile of dense attention. Kernels: see {@link Lanes}. */
final class CausalKernels {
  private CausalKernels() {}

  /**
   * {@code valid} keys of {@code headDim} elements to panels {@code
   * [CausalAttention.KEYS/COLUMNS][headDim][COLUMNS]}, the keys that are missing 0.
   */
  static void transpose(KvLayout layout, long keys, int valid, int headDim, float[] transposed) {
    if (valid < CausalAttention.KEYS) {
      Arrays.fill(transposed, 0, headDim * CausalAttention.KEYS, 0);
    }
    for (int t = 0; t < valid; t++) {
      long row = keys + (long) t * layout.rowBytes();
      int at = t / TileKernels.COLUMNS * headDim * TileKernels.COLUMNS + t % TileKernels.COLUMNS;
      if (layout.type() == KvType.BF16) {
        for (int i = 0; i < headDim; i++) {
          transposed[at + i * TileKernels.COLUMNS] = Bfloat16.widen(Memory.getShort(row + 2L * i));
        }
      } else {
        for (int i = 0; i < headDim; i++) {
          transposed[at + i * TileKernels.COLUMNS] = Memory.getFloat(row + 4L * i);
        }
      }
    }
  }

  /**
   * Turns the scores of query {@code q} and a tile into weights, 0 where it does not see, and
   * brings its sums so far to the new maximum.
   */
  static void softmax(
      float[] scores,
      int at,
      int seen,
      float[] maxima,
      float[] weights,
      int q,
      float[] sums,
      int padded) {
    Arrays.fill(scores, at + seen, at + CausalAttention.KEYS, Float.NEGATIVE_INFINITY);
    FloatVector most = FloatVector.fromArray(Lanes.F, scores, at);
    for (int i = Lanes.N; i < CausalAttention.KEYS; i += Lanes.N) {
      most = Lanes.larger(most, FloatVector.fromArray(Lanes.F, scores, at + i));
    }
    float old = maxima[q];
    float max = Math.max(old, most.reduceLanes(VectorOperators.MAX));
    FloatVector total = FloatVector.zero(Lanes.F);
    for (int i = 0; i < CausalAttention.KEYS; i += Lanes.N) {
      FloatVector p = Lanes.exp(FloatVector.fromArray(Lanes.F, scores, at + i).sub(max));
      p.intoArray(scores, at + i);
      total = total.add(p);
    }
    float sum = Lanes.sum(total);
    if (max > old) {
      float decay = Lanes.exp(old - max);
      sum = Math.fma(weights[q], decay, sum);
      int base = q * padded;
      for (int i = 0; i < padded; i += Lanes.N) {
        FloatVector.fromArray(Lanes.F, sums, base + i).mul(decay).intoArray(sums, base + i);
      }
      maxima[q] = max;
    } else {
      sum += weights[q];
    }
    weights[q] = sum;
  }
}

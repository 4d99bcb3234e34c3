package dev.kvdrive.cpu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Scales of the groups of a row as floats, {@value #OF_BLOCK} of a block of 256 weights, before the
 * row is multiplied: what unpacks them in the loop over weights is more than the compiler takes
 * into one kernel. Kernels: see {@link Lanes}.
 */
final class ScaleKernels {
  /** Floats of a block. */
  static final int OF_BLOCK = 16;

  private static final VarHandle LONGS =
      MethodHandles.byteArrayViewVarHandle(long[].class, Memory.ORDER);

  /** Lanes of minima where a vector holds scales and minima of a block. */
  private static final VectorMask<Float> SECOND_HALF =
      FloatVector.zero(Lanes.F).addIndex(1).compare(VectorOperators.GE, 8);

  private ScaleKernels() {}

  /**
   * Of a row of Q4_K: 8 scales, then 8 minima with their sign changed.
   *
   * @param row address of {@code blocks} blocks
   * @param codes {@value #OF_BLOCK} bytes of each block, overwritten
   * @param scales from {@code at}
   */
  static void q4k(long row, int blocks, byte[] codes, float[] scales, int at) {
    for (int block = 0; block < blocks; block++) {
      long from = row + 144L * block + 4;
      LONGS.set(codes, OF_BLOCK * block, KScales.scales(from));
      LONGS.set(codes, OF_BLOCK * block + 8, KScales.mins(from));
    }
    for (int block = 0; block < blocks; block++) {
      float scale = Memory.getHalf(row + 144L * block);
      float min = -Memory.getHalf(row + 144L * block + 2);
      for (int i = 0; i < OF_BLOCK; i += Lanes.N) {
        FloatVector code =
            (FloatVector)
                ByteVector.fromArray(StoredLanes.BYTES, codes, OF_BLOCK * block + i)
                    .castShape(Lanes.F, 0);
        FloatVector by = FloatVector.broadcast(Lanes.F, i < 8 ? scale : min);
        if (Lanes.N == OF_BLOCK) {
          by = by.blend(min, SECOND_HALF);
        }
        code.mul(by).intoArray(scales, at + OF_BLOCK * block + i);
      }
    }
  }

  /** Of a row of Q6_K: one for every 16 weights. */
  static void q6k(long row, int blocks, float[] scales, int at) {
    for (int block = 0; block < blocks; block++) {
      long from = row + 210L * block;
      float scale = Memory.getHalf(from + 208);
      for (int i = 0; i < OF_BLOCK; i += Lanes.N) {
        Lanes.loadBytes(from + 192 + i).mul(scale).intoArray(scales, at + OF_BLOCK * block + i);
      }
    }
  }
}

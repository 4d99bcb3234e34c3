package dev.kvdrive.cpu;

import dev.kvdrive.plan.ClusterFormat;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Rows of clusters as floats. Kernels: see {@link Lanes}. */
final class ClusterKernels {
  /** As many bytes as a vector has floats, where there is such a vector. */
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, 8 * Lanes.N)));

  private static final boolean WHOLE = BYTES.length() == Lanes.N;

  private ClusterKernels() {}

  /** Widens a row of bytes, a step before them. */
  static void loadBytes(long row, int width, long target) {
    int whole = WHOLE ? width - width % Lanes.N : 0;
    float step = Memory.getFloat(row);
    long elements = row + Float.BYTES;
    for (int i = 0; i < whole; i += Lanes.N) {
      Lanes.store(Lanes.loadBytes(elements + i).mul(step), target + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      Memory.putFloat(target + 4L * i, step * Memory.getByte(elements + i));
    }
  }

  /**
   * Widens a row of nibbles, the steps of its groups before them.
   *
   * @param mean address of what is added, 0 for nothing
   */
  static void loadNibbles(long row, int width, long mean, long target) {
    int half = ClusterFormat.half(width);
    long elements = row + ClusterFormat.groups(width);
    // Then the elements of a vector are of one group, in both halves.
    int whole = WHOLE && width % (2 * Lanes.N) == 0 ? half : 0;
    for (int i = 0; i < whole; i += Lanes.N) {
      IntVector both =
          (IntVector)
              ByteVector.fromMemorySegment(
                      BYTES, Memory.ALL, Memory.inBounds(elements + i), Memory.ORDER)
                  .convertShape(VectorOperators.ZERO_EXTEND_B2I, Lanes.I, 0);
      FloatVector low = (FloatVector) both.and(15).convert(VectorOperators.I2F, 0);
      FloatVector high =
          (FloatVector) both.lanewise(VectorOperators.LSHR, 4).convert(VectorOperators.I2F, 0);
      low = low.sub(ClusterFormat.STEPS).mul(ClusterMemory.groupStep(row, i));
      high = high.sub(ClusterFormat.STEPS).mul(ClusterMemory.groupStep(row, half + i));
      if (mean != 0) {
        low = low.add(Lanes.load(mean + 4L * i));
        high = high.add(Lanes.load(mean + 4L * (half + i)));
      }
      Lanes.store(low, target + 4L * i);
      Lanes.store(high, target + 4L * (half + i));
    }
    for (int i = whole == half ? width : 0; i < width; i++) {
      int both = Memory.getByte(elements + i % half);
      int element = (i < half ? both : both >> 4) & 15;
      float x = (element - ClusterFormat.STEPS) * ClusterMemory.groupStep(row, i);
      Memory.putFloat(target + 4L * i, mean == 0 ? x : x + Memory.getFloat(mean + 4L * i));
    }
  }
}

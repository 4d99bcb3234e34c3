package dev.kvdrive.cpu;

import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Rows of clusters as floats, and which cluster is the nearest. Kernels: see {@link Lanes}. */
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

  /**
   * {@code -|c|^2 / 2} of a panel of centroids.
   *
   * @param at of the panel's first element: {@code [depth][COLUMNS]}
   */
  static void halfSquares(float[] centroids, int at, int depth, float[] target, int to) {
    for (int column = 0; column < TileKernels.COLUMNS; column += Lanes.N) {
      FloatVector square = FloatVector.zero(Lanes.F);
      for (int i = 0; i < depth; i++) {
        FloatVector c =
            FloatVector.fromArray(Lanes.F, centroids, at + i * TileKernels.COLUMNS + column);
        square = c.fma(c, square);
      }
      square.mul(-0.5f).intoArray(target, to + column);
    }
  }

  /**
   * The largest of {@code count} scores, whole panels of them, the lower among equals. What is at
   * the start of the scores is overwritten.
   */
  static int largest(float[] scores, int at, int count) {
    FloatVector most = FloatVector.broadcast(Lanes.F, Float.NEGATIVE_INFINITY);
    FloatVector vector = FloatVector.zero(Lanes.F); // whose first score is number so many
    for (int j = 0; j < count; j += Lanes.N) {
      FloatVector score = FloatVector.fromArray(Lanes.F, scores, at + j);
      VectorMask<Float> larger = score.compare(VectorOperators.GT, most);
      most = most.blend(score, larger);
      vector = vector.blend((float) j, larger);
    }
    most.intoArray(scores, at);
    vector.intoArray(scores, at + Lanes.N);
    int best = 0;
    float highest = Float.NEGATIVE_INFINITY;
    for (int lane = 0; lane < Lanes.N; lane++) {
      int number = (int) scores[at + Lanes.N + lane] + lane;
      float score = scores[at + lane];
      if (score > highest || (score == highest && number < best)) {
        highest = score;
        best = number;
      }
    }
    return best;
  }

  /** Adds elements {@code [from, to)} of a row, times {@code weight}, to sums. */
  static void add(KvType type, long row, int from, int to, float weight, float[] sums, int at) {
    int whole = from + (to - from) / Lanes.N * Lanes.N;
    for (int i = from; i < whole; i += Lanes.N) {
      FloatVector x = Lanes.load(type, row, i).mul(weight);
      FloatVector.fromArray(Lanes.F, sums, at + i).add(x).intoArray(sums, at + i);
    }
    for (int i = whole; i < to; i++) {
      sums[at + i] += weight * KvRows.get(type, row, i);
    }
  }

  /**
   * How like a centroid tokens are: their products with it, and {@code bias}.
   *
   * @param tokens {@code [depth][padded]}
   * @param padded tokens, filled up to whole vectors
   */
  static void likeness(
      float[] tokens, float[] centroid, int depth, int padded, float bias, float[] scores) {
    for (int from = 0; from < padded; from += Lanes.N) {
      FloatVector score = FloatVector.broadcast(Lanes.F, bias);
      for (int i = 0; i < depth; i++) {
        score =
            FloatVector.fromArray(Lanes.F, tokens, i * padded + from)
                .fma(FloatVector.broadcast(Lanes.F, centroid[i]), score);
      }
      score.intoArray(scores, from);
    }
  }
}

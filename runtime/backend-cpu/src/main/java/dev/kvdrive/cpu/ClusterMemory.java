package dev.kvdrive.cpu;

import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.TwoBitSummary;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Addresses of a layer's clusters, and rows as they are stored. Valid while the buffers are open.
 */
final class ClusterMemory {
  /** As many bytes as a vector has floats, where there is such a vector. */
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, 8 * Lanes.N)));

  private static final boolean WHOLE = BYTES.length() == Lanes.N;

  final ClusterFormat format;
  private final KvLayout layout;
  private final int maxChunks;
  private final int ofChunk;
  private final int most;
  private final int bytes;
  private final int valueOffset;
  private final long table;
  private final long ids;
  private final long clustered;
  private final long weights;

  ClusterMemory(KvLayer layer) {
    LayerClusters clusters = layer.index().clustering();
    layout = layer.layout();
    format = clusters.format();
    maxChunks = layer.maxChunks();
    ofChunk = format.ofChunk(layout);
    most = format.clusters(layout, maxChunks);
    bytes = format.bytes(layout);
    valueOffset = format.valueOffset(layout);
    table = CpuBuffer.address(clusters.table());
    ids = CpuBuffer.address(clusters.clusterOfMember());
    clustered = CpuBuffer.address(clusters.clustered());
    weights = CpuBuffer.address(clusters.valueWeights());
  }

  private long cell(int seat, int head) {
    return (long) seat * layout.kvHeads() + head;
  }

  /** Chunks whose tokens are in clusters. */
  int clustered(int seat, int head) {
    return Memory.getInt(clustered + 4 * cell(seat, head));
  }

  /** Clusters of a sequence. */
  int count(int seat, int head) {
    return format.clusters(layout, clustered(seat, head));
  }

  void clustered(int seat, int head, int chunks) {
    Memory.putInt(clustered + 4 * cell(seat, head), chunks);
  }

  /** How much values count for likeness. */
  float valueWeight(int seat, int head) {
    return Memory.getFloat(weights + 4 * cell(seat, head));
  }

  void valueWeight(int seat, int head, float weight) {
    Memory.putFloat(weights + 4 * cell(seat, head), weight);
  }

  /** The first cluster; {@link #next} bytes to each next one. */
  long clusters(int seat, int head) {
    return table + cell(seat, head) * most * bytes;
  }

  /** Bytes from one cluster to the next. */
  int next() {
    return bytes;
  }

  /**
   * {@code uint16[ofChunk]}: the clusters of a chunk's members; those of the next chunks follow.
   */
  long ids(int seat, int head, int chunk) {
    return ids + 2L * (cell(seat, head) * maxChunks + chunk) * ofChunk;
  }

  static int size(long cluster) {
    return Memory.getInt(cluster + ClusterFormat.SIZE_OFFSET);
  }

  static void size(long cluster, int tokens) {
    Memory.putInt(cluster + ClusterFormat.SIZE_OFFSET, tokens);
  }

  /** Writes the centroid as it is stored to {@code headDim} floats. */
  void centroid(long cluster, long target) {
    load(
        Memory.getFloat(cluster + ClusterFormat.CENTROID_STEP_OFFSET),
        cluster + ClusterFormat.CENTROID_OFFSET,
        target);
  }

  /** Writes the mean value as it is stored to {@code headDim} floats. */
  void value(long cluster, long target) {
    load(Memory.getFloat(cluster + ClusterFormat.VALUE_STEP_OFFSET), cluster + valueOffset, target);
  }

  private void load(float step, long elements, long target) {
    int width = layout.headDim();
    int whole = WHOLE ? width - width % Lanes.N : 0;
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector row =
          (FloatVector)
              ByteVector.fromMemorySegment(BYTES, Memory.ALL, elements + i, Memory.ORDER)
                  .convertShape(VectorOperators.B2F, Lanes.F, 0);
      Lanes.store(row.mul(step), target + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      Memory.putFloat(target + 4L * i, step * Memory.getByte(elements + i));
    }
  }

  /** Stores a centroid of {@code headDim} floats. */
  void storeCentroid(long cluster, long row) {
    store(
        row, cluster + ClusterFormat.CENTROID_STEP_OFFSET, cluster + ClusterFormat.CENTROID_OFFSET);
  }

  /** Stores a mean value of {@code headDim} floats. */
  void storeValue(long cluster, long row) {
    store(row, cluster + ClusterFormat.VALUE_STEP_OFFSET, cluster + valueOffset);
  }

  private void store(long row, long stepAt, long elements) {
    int width = layout.headDim();
    float largest = 0;
    for (int i = 0; i < width; i++) {
      largest = Math.max(largest, Math.abs(Memory.getFloat(row + 4L * i)));
    }
    boolean vanishes = largest < TwoBitSummary.SMALLEST_KEY;
    float inverse = vanishes ? 0 : ClusterFormat.LARGEST / largest;
    Memory.putFloat(stepAt, vanishes ? 0 : largest / ClusterFormat.LARGEST);
    for (int i = 0; i < width; i++) {
      int code = (int) Math.rint(Memory.getFloat(row + 4L * i) * inverse);
      Memory.putByte(
          elements + i, (byte) Math.clamp(code, -ClusterFormat.LARGEST, ClusterFormat.LARGEST));
    }
  }
}

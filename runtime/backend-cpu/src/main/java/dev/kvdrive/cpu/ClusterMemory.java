package dev.kvdrive.cpu;

import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.TwoBitSummary;

/**
 * Addresses of a layer's clusters, and rows as they are stored. Valid while the buffers are open.
 */
final class ClusterMemory {
  final ClusterFormat format;
  private final KvLayout layout;
  private final int maxChunks;
  private final int ofChunk;
  private final int most;
  private final int bytes;
  private final int centroidOffset;
  private final int valueOffset;
  private final long table;
  private final long ids;
  private final long clustered;
  private final long bases;
  private final int baseFloats;

  ClusterMemory(KvLayer layer) {
    LayerClusters clusters = layer.index().clustering();
    layout = layer.layout();
    format = clusters.format();
    maxChunks = layer.maxChunks();
    ofChunk = format.ofChunk(layout);
    most = format.clusters(layout, maxChunks);
    bytes = format.bytes(layout);
    centroidOffset = format.centroidOffset();
    valueOffset = format.valueOffset(layout);
    table = CpuBuffer.address(clusters.table());
    ids = CpuBuffer.address(clusters.clusterOfMember());
    clustered = CpuBuffer.address(clusters.clustered());
    bases = CpuBuffer.address(clusters.bases());
    baseFloats = format.baseFloats(layout);
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

  private long base(int seat, int head) {
    return bases + 4L * cell(seat, head) * baseFloats;
  }

  /** How much values count for likeness. */
  float valueWeight(int seat, int head) {
    return Memory.getFloat(base(seat, head));
  }

  void valueWeight(int seat, int head, float weight) {
    Memory.putFloat(base(seat, head), weight);
  }

  /** The key that centroids are stored as differences from: its address, 0 where there is none. */
  long mean(int seat, int head) {
    return format.nibbles() ? base(seat, head) + Float.BYTES : 0;
  }

  /** Makes the base of a sequence that had nothing to build from. */
  void noBase(int seat, int head) {
    for (int i = 0; i < baseFloats; i++) {
      Memory.putFloat(base(seat, head) + 4L * i, 0);
    }
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
    return Short.toUnsignedInt(Memory.getShort(cluster));
  }

  static void size(long cluster, int tokens) {
    Memory.putShort(cluster, (short) Math.min(tokens, ClusterFormat.MOST_COUNTED));
  }

  /**
   * Writes the centroid as it is stored to {@code headDim} floats.
   *
   * @param mean {@link #mean}
   */
  void centroid(long cluster, long mean, long target) {
    load(cluster + centroidOffset, mean, target);
  }

  /** Writes the mean value as it is stored to {@code headDim} floats. */
  void value(long cluster, long target) {
    load(cluster + valueOffset, 0, target);
  }

  private void load(long row, long mean, long target) {
    if (format.nibbles()) {
      ClusterKernels.loadNibbles(row, layout.headDim(), mean, target);
    } else {
      ClusterKernels.loadBytes(row, layout.headDim(), target);
    }
  }

  /** The step of an element of a row of nibbles. */
  static float groupStep(long row, int element) {
    return ClusterFormat.step(
        Byte.toUnsignedInt(Memory.getByte(row + element / ClusterFormat.GROUP)));
  }

  /**
   * Stores a centroid of {@code headDim} floats, which it overwrites.
   *
   * @param mean {@link #mean}
   */
  void storeCentroid(long cluster, long mean, long row) {
    for (long i = 0; mean != 0 && i < 4L * layout.headDim(); i += 4) {
      Memory.putFloat(row + i, Memory.getFloat(row + i) - Memory.getFloat(mean + i));
    }
    store(row, cluster + centroidOffset);
  }

  /** Stores a mean value of {@code headDim} floats. */
  void storeValue(long cluster, long row) {
    store(row, cluster + valueOffset);
  }

  private void store(long row, long target) {
    if (format.nibbles()) {
      storeNibbles(row, target);
    } else {
      storeBytes(row, target);
    }
  }

  private void storeBytes(long row, long target) {
    int width = layout.headDim();
    float largest = largest(row, 0, width);
    boolean vanishes = largest < TwoBitSummary.SMALLEST_KEY;
    float inverse = vanishes ? 0 : ClusterFormat.LARGEST / largest;
    Memory.putFloat(target, vanishes ? 0 : largest / ClusterFormat.LARGEST);
    for (int i = 0; i < width; i++) {
      int code = (int) Math.rint(Memory.getFloat(row + 4L * i) * inverse);
      Memory.putByte(
          target + Float.BYTES + i,
          (byte) Math.clamp(code, -ClusterFormat.LARGEST, ClusterFormat.LARGEST));
    }
  }

  private void storeNibbles(long row, long target) {
    int width = layout.headDim();
    int half = ClusterFormat.half(width);
    long elements = target + ClusterFormat.groups(width);
    for (int from = 0; from < width; from += ClusterFormat.GROUP) {
      int to = Math.min(from + ClusterFormat.GROUP, width);
      int code = ClusterFormat.stepCode(largest(row, from, to));
      Memory.putByte(target + from / ClusterFormat.GROUP, (byte) code);
      float step = ClusterFormat.step(code);
      float inverse = step == 0 ? 0 : 1 / step;
      for (int i = from; i < to; i++) {
        int steps = (int) Math.floor(Memory.getFloat(row + 4L * i) * inverse);
        int element = 8 + Math.clamp(steps, -8, 7);
        // A low half comes before the high one that it is stored with.
        int both = i < half ? element : Memory.getByte(elements + i - half) | element << 4;
        Memory.putByte(elements + i % half, (byte) both);
      }
    }
  }

  private static float largest(long row, int from, int to) {
    float largest = 0;
    for (int i = from; i < to; i++) {
      largest = Math.max(largest, Math.abs(Memory.getFloat(row + 4L * i)));
    }
    return largest;
  }
}

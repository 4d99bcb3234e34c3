package dev.kvdrive.device;

import dev.kvdrive.plan.ClusterFormat;
import java.util.List;

/**
 * Clusters of a layer's closed tokens or chunks. The same bits on every device.
 *
 * @param format of a cluster, and how clusters come about
 * @param table {@code [seats][kvHeads][clusters of maxChunks]} clusters; those of a sequence are
 *     the first {@code format.clusters} of its chunks in clusters
 * @param clusterOfMember {@code uint16[seats][kvHeads][maxChunks][format.ofChunk]} cluster of each
 *     token, or chunk
 * @param clustered {@code int[seats][kvHeads]} chunks whose tokens are in clusters: the first so
 *     many
 * @param bases {@code float[seats][kvHeads][format.baseFloats]} how much values count for likeness,
 *     and the key that centroids are stored as differences from; written with the first clusters of
 *     a sequence
 */
public record LayerClusters(
    ClusterFormat format,
    DeviceBuffer table,
    DeviceBuffer clusterOfMember,
    DeviceBuffer clustered,
    DeviceBuffer bases) {
  /**
   * Gives a seat all that another has.
   *
   * @param seats of every array
   */
  public void copy(Queue queue, int seats, int from, int to) {
    for (DeviceBuffer of : List.of(table, clusterOfMember, clustered, bases)) {
      long bytes = of.bytes() / seats;
      queue.copy(of, from * bytes, of, to * bytes, bytes);
    }
  }
}

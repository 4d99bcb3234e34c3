package dev.kvdrive.device;

import dev.kvdrive.plan.KvLayout;

/**
 * The KV state of one layer for all seats: flat arrays in device memory, laid out alike on every
 * device, shared by the stages of a step. Index order is as written, last index fastest. Owned by
 * the engine; device operations write it in queue order, the host changes it only through transfers
 * between steps.
 *
 * @param layout bytes and grid
 * @param layer index of this layer
 * @param seats number of seats
 * @param maxChunks closed chunks a seat can have
 * @param dense sink and ring: {@code [seats][kvHeads]{K[denseTokens][headDim],
 *     V[denseTokens][headDim]}} in the layout's type; rows 0..sink-1 are the sink, then the ring by
 *     {@code ChunkGrid.ringSlot}
 * @param index what is kept of closed chunks
 * @param window the chunks in device memory
 * @param frameOfExtent {@code int[seats][kvHeads][maxExtents]} DRAM frame that holds the extent, or
 *     -1 if it is only on NVMe; written by the host
 * @param lastUse {@code int[seats][kvHeads][maxExtents]} position of the sequence when a chunk of
 *     the extent was last fetched; written by {@code fetch}, read by the host between steps to
 *     choose what to demote
 */
public record KvLayer(
    KvLayout layout,
    int layer,
    int seats,
    int maxChunks,
    DeviceBuffer dense,
    LayerIndex index,
    LayerWindow window,
    DeviceBuffer frameOfExtent,
    DeviceBuffer lastUse) {
  /** Extents a (seat, KV head) can have. */
  public int maxExtents() {
    return layout.extents(maxChunks);
  }
}

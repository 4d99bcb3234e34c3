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
 * @param windowSlots window slots of each KV head, the same for all seats, {@code int[kvHeads]};
 *     may differ between heads and layers
 * @param slotBase {@code int[kvHeads + 1]} prefix sums of {@code windowSlots}, in device memory
 * @param dense sink and ring: {@code [seats][kvHeads]{K[denseTokens][headDim],
 *     V[denseTokens][headDim]}} in the layout's type; rows 0..sink-1 are the sink, then the ring by
 *     {@code ChunkGrid.ringSlot}
 * @param representatives {@code [seats][kvHeads][maxChunks]} representatives in the layout's
 *     format: the chunk's keys with two bits an element, the same bits on every device
 * @param window {@code [seats][slotBase[kvHeads]]} chunks in the layout's chunk format; slot {@code
 *     s} of head {@code h} is entry {@code slotBase[h] + s}
 * @param slotOfChunk {@code int[seats][kvHeads][maxChunks]} slot that holds the chunk, or -1
 * @param chunkOfSlot {@code int[seats][slotBase[kvHeads]]} chunk in the slot, or -1
 * @param attentionOfSlot {@code float[seats][slotBase[kvHeads]]} attention mass the slot's chunk
 *     got when it was last attended (summed over the query heads of the group), decayed by {@link
 *     #ATTENTION_DECAY} for each step since; the slot with the lowest value leaves first (lookahead
 *     eviction)
 * @param frameOfExtent {@code int[seats][kvHeads][maxExtents]} DRAM frame that holds the extent, or
 *     -1 if it is only on NVMe; written by the host
 * @param lastUse {@code int[seats][kvHeads][maxExtents]} position of the sequence when a chunk of
 *     the extent was last fetched; written by {@code fetch}, read by the host between steps to
 *     choose what to demote
 */
@SuppressWarnings("ArrayRecordComponent") // immutable by contract: set once when the engine starts
public record KvLayer(
    KvLayout layout,
    int layer,
    int seats,
    int maxChunks,
    int[] windowSlots,
    DeviceBuffer slotBase,
    DeviceBuffer dense,
    DeviceBuffer representatives,
    DeviceBuffer window,
    DeviceBuffer slotOfChunk,
    DeviceBuffer chunkOfSlot,
    DeviceBuffer attentionOfSlot,
    DeviceBuffer frameOfExtent,
    DeviceBuffer lastUse) {
  /** Factor on {@code attentionOfSlot} for each step in which the slot was not attended. */
  public static final float ATTENTION_DECAY = 0.75f;

  /** Extents a (seat, KV head) can have. */
  public int maxExtents() {
    return layout.extents(maxChunks);
  }

  /** Window slots of all KV heads of one seat together. */
  public int totalSlots() {
    int sum = 0;
    for (int slots : windowSlots) {
      sum += slots;
    }
    return sum;
  }
}

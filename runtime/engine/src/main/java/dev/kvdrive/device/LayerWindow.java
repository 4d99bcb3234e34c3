package dev.kvdrive.device;

/**
 * The chunks of a layer that are in device memory. A (seat, KV head) has the slots {@code
 * [slotBase[seat][head], slotBase[seat][head + 1])} of the arrays below, as many as the plan or a
 * policy gives it; operations read that from device memory, so that windows are data.
 *
 * @param slots slots of all seats and KV heads together
 * @param fewest slots that every (seat, KV head) has at least
 * @param most slots that a (seat, KV head) has at most: what backends dimension by
 * @param slotBase {@code int[seats][kvHeads + 1]} first slot of each KV head, and behind the last
 * @param chunks {@code [slots]} chunks in the layout's chunk format
 * @param slotOfChunk {@code int[seats][kvHeads][maxChunks]} slot that holds the chunk, counted from
 *     the first of its (seat, KV head), or -1
 * @param chunkOfSlot {@code int[slots]} chunk in the slot, or -1
 * @param keyOfSlot {@code float[slots]} the chunk with the lowest key leaves first; written by the
 *     policy, only read where chunks leave
 */
public record LayerWindow(
    int slots,
    int fewest,
    int most,
    DeviceBuffer slotBase,
    DeviceBuffer chunks,
    DeviceBuffer slotOfChunk,
    DeviceBuffer chunkOfSlot,
    DeviceBuffer keyOfSlot) {}

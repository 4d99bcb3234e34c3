package dev.kvdrive.device;

/**
 * The chunks of a layer that are in device memory. Slots are those of a pool that layers may share;
 * the window of a (seat, KV head) is the list of slots {@code slotTable[slotBase[seat][head] ...
 * slotBase[seat][head + 1])}. Operations read both from device memory, so that which slots a window
 * has, and how many, is data. In all other arrays of a step a slot is its place in its window's
 * list.
 *
 * @param slots slots of the pool
 * @param fewest slots that the window of a (seat, KV head) of a batch has at least
 * @param most slots that a window has at most: what backends dimension by
 * @param slotBase {@code int[seats][kvHeads + 1]} where the list of each KV head begins, and behind
 *     the last; those of a seat lie one behind the other
 * @param slotTable {@code int[slots]} slots of the pool, no two alike
 * @param chunks {@code [slots]} chunks in the layout's chunk format, by slot of the pool
 * @param slotOfChunk {@code int[seats][kvHeads][maxChunks]} place of the slot that holds the chunk;
 *     {@link Uses#absent} while none does, -1 if it was never looked up
 * @param chunkOfSlot {@code int[slots]} chunk in a slot of the pool, or -1
 * @param keyOfSlot {@code float[slots]} by slot of the pool: the chunk with the lowest key leaves
 *     first; written by the policy, only read where chunks leave
 * @param usesOfSlot {@code int[slots]} by slot of the pool: {@link Uses} of the chunk in it; means
 *     nothing where a slot is empty
 */
public record LayerWindow(
    int slots,
    int fewest,
    int most,
    DeviceBuffer slotBase,
    DeviceBuffer slotTable,
    DeviceBuffer chunks,
    DeviceBuffer slotOfChunk,
    DeviceBuffer chunkOfSlot,
    DeviceBuffer keyOfSlot,
    DeviceBuffer usesOfSlot) {}

package dev.kvdrive.device;

import dev.kvdrive.plan.Workspace;

/**
 * Workspace of selection and diff, reused by every layer of a step.
 *
 * <p>The selected chunks of a (row, KV head) are processed in passes of at most {@code passChunks},
 * which no window is smaller than, so that every chunk of a pass has a slot. Sparse steps have one
 * pass; exact mode has as many as the host derives from the longest sequence of the batch.
 *
 * @param maxRows rows it is dimensioned for
 * @param maxChunks closed chunks a sequence can have
 * @param maxSelected entries of {@code selected} per (row, KV head)
 * @param passChunks chunks of one pass, at most the smallest window of any (layer, KV head)
 * @param scores {@code F32 [maxRows][kvHeads][maxChunks]} merged score of every closed chunk
 * @param selected {@code int[maxRows][kvHeads][maxSelected]} selected chunks, ascending
 * @param selectedCount {@code int[maxRows][kvHeads]}
 * @param slots {@code int[maxRows][kvHeads][passChunks]} slot of each chunk of the current pass
 * @param misses {@code int[maxRows][kvHeads][passChunks]} indices within the pass whose chunk was
 *     not in the window, ascending
 * @param missCount {@code int[maxRows][kvHeads]}
 * @param counters {@code int[maxRows][COUNTERS]} sums over layers, heads and passes since the host
 *     last cleared them; see the {@code *_COUNTER} constants
 */
public record Selection(
    int maxRows,
    int maxChunks,
    int maxSelected,
    int passChunks,
    DeviceBuffer scores,
    DeviceBuffer selected,
    DeviceBuffer selectedCount,
    DeviceBuffer slots,
    DeviceBuffer misses,
    DeviceBuffer missCount,
    DeviceBuffer counters) {
  /** Number of counters of a row. */
  public static final int COUNTERS = Workspace.COUNTERS;

  /** Selected chunks that were in the window. */
  public static final int HITS_COUNTER = 0;

  /** Selected chunks that came from DRAM. */
  public static final int DRAM_COUNTER = 1;

  /** Selected chunks that came from NVMe. */
  public static final int NVME_COUNTER = 2;

  /** Selected chunks that did not come at all; the row's result is then worthless. */
  public static final int FAULT_COUNTER = 3;

  /** Selected chunks that were in the window because they had been prefetched, each once. */
  public static final int PREFETCHED_COUNTER = 4;
}

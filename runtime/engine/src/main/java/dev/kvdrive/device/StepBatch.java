package dev.kvdrive.device;

import org.jspecify.annotations.Nullable;

/**
 * The rows of one decode step: one new token each of up to {@code rows} sequences. All values lie
 * in device memory so that a recorded graph serves every step; unused rows have seat -1 and are
 * skipped by every operation that takes a batch.
 *
 * <p>A <i>seat</i> is the index of a sequence's state in the arrays of {@link KvLayer}; no two rows
 * of a batch have the same seat. After {@code append}, a row's sequence has {@code position + 1}
 * tokens, from which every operation derives closed chunks and ring through the layout's grid.
 *
 * @param rows rows that operations process (a bucket size, fixed for a graph)
 * @param tokens {@code int[rows]} token to embed
 * @param positions {@code int[rows]} position of that token
 * @param seats {@code int[rows]} seat, or -1 for an unused row
 * @param selectCounts {@code int[rows]} chunks to select; at least the number of closed chunks
 *     means all of them (exact mode)
 * @param mayMiss {@code F32[rows]} share of its attention that a row may miss, in [0, 1): above 0
 *     it selects the fewest chunks that leave no more out, {@code selectCounts} at most. Null for 0
 *     of all rows
 */
public record StepBatch(
    int rows,
    DeviceBuffer tokens,
    DeviceBuffer positions,
    DeviceBuffer seats,
    DeviceBuffer selectCounts,
    @Nullable DeviceBuffer mayMiss) {
  /** Of rows that select {@code selectCounts} chunks. */
  public StepBatch(
      int rows,
      DeviceBuffer tokens,
      DeviceBuffer positions,
      DeviceBuffer seats,
      DeviceBuffer selectCounts) {
    this(rows, tokens, positions, seats, selectCounts, null);
  }
}

package dev.kvdrive.schedule;

import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;

/**
 * Extents promised to the admitted sequences. A sequence is admitted only when all it can ever need
 * fits DRAM and NVMe together, so that none runs out of room half way. Engine thread.
 */
final class CapacityLedger {
  private final EngineSizes sizes;
  private final long capacity;
  private long promised;

  CapacityLedger(EngineSizes sizes) {
    this.sizes = sizes;
    capacity = sizes.dramFrames() + sizes.leastNvmeExtents();
  }

  /** Extents that a sequence of {@code tokens} tokens needs over all layers and KV heads. */
  long extents(int tokens) {
    KvLayout layout = sizes.layout();
    return (long) layout.layers()
        * layout.kvHeads()
        * layout.extents(layout.grid().closedChunks(tokens));
  }

  /** Extents of DRAM and NVMe together, whatever the volume has room for beyond what it must. */
  long capacity() {
    return capacity;
  }

  boolean fits(int tokens) {
    return promised + extents(tokens) <= capacity;
  }

  void promise(int tokens) {
    promised += extents(tokens);
  }

  void release(int tokens) {
    promised -= extents(tokens);
  }
}

package dev.kvdrive.schedule;

/**
 * Where the selected chunks of a step were found, and what prefetching had to do with it.
 *
 * @param hits in the window
 * @param dramMisses fetched from DRAM
 * @param nvmeMisses fetched from NVMe
 * @param prefetched chunks brought by a predicted query, before anything had selected them
 * @param prefetchedHits of the hits, chunks that were there because they had been prefetched
 */
record SelectedChunks(
    long hits, long dramMisses, long nvmeMisses, long prefetched, long prefetchedHits) {
  static final SelectedChunks NONE = new SelectedChunks(0, 0, 0, 0, 0);

  /** All that were selected. */
  long selected() {
    return hits + dramMisses + nvmeMisses;
  }

  SelectedChunks plus(SelectedChunks other) {
    return new SelectedChunks(
        hits + other.hits,
        dramMisses + other.dramMisses,
        nvmeMisses + other.nvmeMisses,
        prefetched + other.prefetched,
        prefetchedHits + other.prefetchedHits);
  }
}

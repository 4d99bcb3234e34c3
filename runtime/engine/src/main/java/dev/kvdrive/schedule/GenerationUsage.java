package dev.kvdrive.schedule;

/**
 * What a generation took.
 *
 * @param promptTokens tokens of the prompt
 * @param reusedTokens of these, tokens whose keys and values were there already
 * @param completionTokens tokens generated
 * @param attendedTokens tokens attended in decode, summed over steps, mean over layers and KV heads
 * @param contextTokens tokens that dense attention would have attended in the same steps
 * @param hits selected chunks found in the window
 * @param dramMisses selected chunks fetched from DRAM
 * @param nvmeMisses selected chunks fetched from NVMe
 * @param dramBytes bytes fetched from DRAM
 * @param nvmeBytes bytes of chunks fetched from NVMe
 * @param nvmeWrittenBytes bytes of its extents sent to NVMe
 * @param prefetched chunks brought from DRAM by a predicted query before anything selected them
 * @param prefetchedHits of the hits, chunks that were there because they had been prefetched
 * @param queueNanos from submission to the first work
 * @param prefillNanos from the first work to the first token
 * @param decodeNanos from the first token to the end
 * @param prefillStalledNanos of these, waiting for room in DRAM or for what was kept of the prompt
 * @param decodeStalledNanos of the time from the first token on, waiting without a step: for room
 *     in DRAM, or for chunks from NVMe that were late
 * @param decodeNvmeNanos of the time of its steps, that in which chunks of any of their sequences
 *     were on their way from NVMe: what computing does not hide of it is waited for
 * @param accuracy what its steps left out, as far as it was measured
 */
public record GenerationUsage(
    int promptTokens,
    int reusedTokens,
    int completionTokens,
    long attendedTokens,
    long contextTokens,
    long hits,
    long dramMisses,
    long nvmeMisses,
    long dramBytes,
    long nvmeBytes,
    long nvmeWrittenBytes,
    long prefetched,
    long prefetchedHits,
    long queueNanos,
    long prefillNanos,
    long decodeNanos,
    long prefillStalledNanos,
    long decodeStalledNanos,
    long decodeNvmeNanos,
    Accuracy accuracy) {
  /** Share of the selected chunks that were in the window; 1 if none was selected. */
  public double hitRate() {
    long all = hits + dramMisses + nvmeMisses;
    return all == 0 ? 1.0 : (double) hits / all;
  }
}

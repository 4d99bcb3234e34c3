package dev.kvdrive.device;

/**
 * Closed chunks {@code [from, to)} of a prompt, which lie in the scratch.
 *
 * @param layer whose chunks
 * @param scratch keys and values of the prompt
 * @param seat seat of the sequence
 * @param from first chunk
 * @param to behind the last chunk
 */
public record PromptChunks(KvLayer layer, PrefillScratch scratch, int seat, int from, int to) {
  public PromptChunks {
    Checks.check(layer);
    Checks.checkSeat(layer, seat);
    Checks.require(
        from >= 0 && from <= to && to <= layer.maxChunks(),
        "chunks %d to %d are not within %d",
        from,
        to,
        layer.maxChunks());
    if (to > from) {
      Checks.check(layer.layout(), scratch, 0, layer.layout().grid().firstToken(to));
    }
  }
}

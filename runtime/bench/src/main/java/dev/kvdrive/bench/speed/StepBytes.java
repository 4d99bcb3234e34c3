package dev.kvdrive.bench.speed;

import dev.kvdrive.model.Model;
import dev.kvdrive.plan.KvLayout;

/**
 * Bytes that a decode step of one sequence has to read at least: all weights once, the keys and
 * values that are attended, and, if there is something to select, every representative.
 *
 * @param weights of all matrices; of an embedding that is not also the output, one row
 * @param cache of attended keys and values
 * @param index of representatives
 */
public record StepBytes(long weights, long cache, long index) {
  /**
   * Of a step of a model.
   *
   * @param attendedTokens tokens attended
   * @param tokens tokens in the sequence
   * @param exact whether everything is attended, so that nothing is selected
   */
  public static StepBytes of(
      Model model, KvLayout layout, double attendedTokens, int tokens, boolean exact) {
    long weights = model.geometry().weightBytes();
    if (!model.output().name().equals(model.embedding().name())) {
      weights -= model.embedding().bytes() - model.embedding().rowBytes();
    }
    return new StepBytes(
        weights,
        (long) (attendedTokens * layout.bytesPerToken()),
        exact
            ? 0
            : (long) layout.layers()
                * layout.kvHeads()
                * layout.grid().closedChunks(tokens)
                * layout.rowBytes());
  }

  /** All of them. */
  public long total() {
    return weights + cache + index;
  }
}

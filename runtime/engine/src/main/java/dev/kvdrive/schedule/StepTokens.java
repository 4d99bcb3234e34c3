package dev.kvdrive.schedule;

import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;

/**
 * Tokens of decode steps, summed over steps and rows.
 *
 * @param dense sink and local tokens, which are always attended
 * @param context all that dense attention would have attended
 */
record StepTokens(long dense, long context) {
  static final StepTokens NONE = new StepTokens(0, 0);

  /** Those of a row that has {@code tokens} tokens in it. */
  static StepTokens of(ChunkGrid grid, int tokens) {
    return new StepTokens(Math.min(tokens, grid.sink()) + grid.ringTokens(tokens), tokens);
  }

  StepTokens plus(StepTokens other) {
    return new StepTokens(dense + other.dense, context + other.context);
  }

  /** Tokens attended, mean over layers and KV heads. */
  long attended(SelectedChunks chunks, KvLayout layout) {
    return dense + chunks.selected() * layout.grid().chunk() / layout.heads();
  }
}

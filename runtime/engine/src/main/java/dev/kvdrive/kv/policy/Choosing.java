package dev.kvdrive.kv.policy;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;

/**
 * A layer of a step whose chunks are to be chosen, and the verbs for it.
 *
 * @param index the verbs
 * @param queue where they are submitted
 * @param step the layer
 * @param shape of its attention
 * @param query the rows' queries
 * @param selection where scores and chosen chunks go
 */
public record Choosing(
    IndexOperations index,
    Queue queue,
    LayerStep step,
    AttentionShape shape,
    Activations query,
    Selection selection) {
  /** Scores the closed chunks of every row that does not attend all of them, by their summaries. */
  public void score() {
    index.score(queue, new IndexOperations.Score(step, shape, query, selection));
  }

  /** Chooses as many chunks as each row's budget allows, those with the largest scores. */
  public void best() {
    index.best(queue, new IndexOperations.Best(step, selection));
  }
}

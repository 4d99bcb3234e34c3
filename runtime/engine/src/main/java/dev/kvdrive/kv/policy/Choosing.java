package dev.kvdrive.kv.policy;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.IndexOperations.Merge;
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
  /**
   * Scores the closed chunks of every row that does not attend all of them, by their summaries.
   *
   * @param merge what becomes of the queries of a group
   */
  public void score(Merge merge) {
    index.score(queue, new IndexOperations.Score(step, shape, query, selection, merge));
  }

  /** Scores the closed chunks of such rows by the clusters that their tokens are in. */
  public void scoreClusters() {
    index.scoreClusters(queue, new IndexOperations.ScoreClusters(step, shape, query, selection));
  }

  /**
   * Scores the chunks that the best clusters open by their summaries, and no others.
   *
   * @param times as many as the row selects
   */
  public void scoreOpened(Merge merge, int times) {
    index.scoreOpened(
        queue,
        new IndexOperations.ScoreOpened(
            new IndexOperations.Score(step, shape, query, selection, merge), times));
  }

  /** Makes {@code of} of {@code per} chunks that are chosen next those with the lowest cosines. */
  public void pin(int of, int per) {
    index.pin(queue, new IndexOperations.Pin(step, selection, of, per));
  }

  /** Chooses as many chunks as each row's budget allows, those with the largest scores. */
  public void best() {
    index.best(queue, new IndexOperations.Best(step, selection));
  }
}

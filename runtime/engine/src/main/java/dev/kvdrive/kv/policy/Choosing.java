package dev.kvdrive.kv.policy;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import org.jspecify.annotations.Nullable;

/**
 * A layer of a step whose chunks are to be chosen, and the verbs for it.
 *
 * @param index the verbs
 * @param queue where they are submitted
 * @param step the layer
 * @param shape of its attention
 * @param query the rows' queries
 * @param selection where scores and chosen chunks go
 * @param begun attention to sink and ring, where rows may miss a share of their attention; else
 *     null
 */
public record Choosing(
    IndexOperations index,
    Queue queue,
    LayerStep step,
    AttentionShape shape,
    Activations query,
    Selection selection,
    @Nullable AttentionState begun) {
  /** Where no row may miss a share. */
  public Choosing(
      IndexOperations index,
      Queue queue,
      LayerStep step,
      AttentionShape shape,
      Activations query,
      Selection selection) {
    this(index, queue, step, shape, query, selection, null);
  }

  /**
   * Scores the closed chunks of every row that does not attend all of them, by their summaries.
   *
   * @param merge what becomes of the queries of a group
   */
  public void score(Merge merge) {
    index.score(queue, new IndexOperations.Score(step, shape, query, selection, merge, begun));
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

  /**
   * Chooses as many chunks as each row's budget allows, those with the largest scores; fewer where
   * fewer are enough for the share of its attention that a row may not miss.
   */
  public void best() {
    index.best(queue, new IndexOperations.Best(step, selection));
  }
}

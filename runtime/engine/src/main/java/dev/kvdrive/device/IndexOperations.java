package dev.kvdrive.device;

import static dev.kvdrive.device.Checks.check;
import static dev.kvdrive.device.Checks.view;

/**
 * The index: a summary of every closed chunk, in the layer's {@link LayerIndex#format}, scores of
 * the chunks by their summaries, and the best of them. The same bits of a summary on every device.
 */
public interface IndexOperations {
  /**
   * Scores every closed chunk of each (row, KV head). With {@code s(h,c) = log sum_t exp(scale *
   * q_h . k_t)} over the keys {@code k_t} that the summary of chunk {@code c} stands for, the score
   * of a chunk is the maximum over the group's query heads of {@code s(h,c) - log sum_c' exp
   * s(h,c')}: the largest share of attention that the chunk has in any of them. Equal summaries
   * have equal scores. Where a row selects all of its closed chunks the scores may be left
   * unwritten.
   */
  record Score(LayerStep step, AttentionShape shape, Activations query, Selection selection) {
    public Score {
      Checks.checkSummaries(step.layer());
      check(step.layer(), shape);
      check(step.batch(), step.layer(), selection);
      view("query", query, step.batch().rows(), shape.heads() * shape.headDim());
    }
  }

  /**
   * Selects the {@code selectCounts[r]} closed chunks of each (row, KV head) with the largest
   * scores, the lower chunk among equals; ascending. A row that asks for at least its closed chunks
   * gets all of them, and its scores are not read.
   */
  record Best(LayerStep step, Selection selection) {
    public Best {
      check(step.batch(), step.layer(), selection);
    }
  }

  /**
   * Writes the summary of the chunk that each row's newest token has closed, if it has, from the
   * ring: after {@code append}, before the next token.
   */
  void summarise(Queue queue, LayerStep step);

  /** Writes the summaries of a prompt's chunks, from the scratch. */
  void summarise(Queue queue, PromptChunks chunks);

  /** See {@link Score}. */
  void score(Queue queue, Score score);

  /** See {@link Best}. */
  void best(Queue queue, Best best);
}

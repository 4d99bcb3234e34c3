package dev.kvdrive.kv.policy;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;

/**
 * A layer of a step whose chunks are chosen, and the verbs for the rest.
 *
 * @param attention the verbs
 * @param queue where they are submitted
 * @param step the layer
 * @param shape of its attention
 * @param query the rows' queries
 * @param selection the chosen chunks
 * @param state what is attended so far
 */
public record Resting(
    AttentionOperations attention,
    Queue queue,
    LayerStep step,
    AttentionShape shape,
    Activations query,
    Selection selection,
    AttentionState state) {
  /** Attends the clusters in place of the tokens that are not chosen. */
  public void estimate() {
    attention.estimate(
        queue, new AttentionOperations.Estimate(step, shape, query, selection, state));
  }
}

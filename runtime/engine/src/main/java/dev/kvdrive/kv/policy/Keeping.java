package dev.kvdrive.kv.policy;

import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.WindowOperations;

/**
 * A layer of a step whose windows are about to change, and the verbs for their keys.
 *
 * @param window the verbs
 * @param queue where they are submitted
 * @param step the layer
 * @param selection what was chosen, by which scores
 */
public record Keeping(WindowOperations window, Queue queue, LayerStep step, Selection selection) {
  /**
   * By the scores that this step has computed for the chunks in the window; where everything is
   * attended, by the order in which it is.
   */
  public void lookahead() {
    window.key(queue, new WindowOperations.Keys(step, selection));
  }
}

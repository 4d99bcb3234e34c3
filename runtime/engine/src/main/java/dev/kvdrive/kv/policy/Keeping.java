package dev.kvdrive.kv.policy;

import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.WindowOperations;
import dev.kvdrive.device.WindowOperations.Forgotten;

/**
 * A pass over what was chosen, whose windows are about to change, or just have, and the verbs for
 * what stays in them.
 *
 * @param window the verbs
 * @param queue where they are submitted
 * @param pass of a layer of a step; its selection says what was chosen, by which scores
 */
public record Keeping(WindowOperations window, Queue queue, Pass pass) {
  /**
   * Before the look-up, keys by the scores that this step has computed for the chunks in the
   * window; where everything is attended, by the order in which it is.
   */
  public void lookahead() {
    key(false);
  }

  /** Like {@link #lookahead}, with a merit for what was used often and lately (decision 199). */
  public void lookaheadByUse() {
    key(true);
  }

  private void key(boolean uses) {
    window.key(queue, new WindowOperations.Keys(pass.step(), pass.selection(), uses));
  }

  /** After the look-up, keys of what the pass uses: the chunk used least recently leaves first. */
  public void recent() {
    window.recent(queue, pass);
  }

  /** Before the look-up, leaves in the window only what this step has chosen again. */
  public void onlyChosen() {
    forget(Forgotten.UNSELECTED);
  }

  /** Before the look-up, leaves nothing in the window. */
  public void nothing() {
    forget(Forgotten.ALL);
  }

  private void forget(Forgotten which) {
    window.forget(queue, new WindowOperations.Forget(pass.step(), pass.selection(), which));
  }
}

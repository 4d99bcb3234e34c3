package dev.kvdrive.device;

/**
 * The part {@code [pass * passChunks, (pass + 1) * passChunks)} of every selection of a step's
 * layer.
 *
 * @param step the layer of the step
 * @param selection the selected chunks, and the workspace of the pass
 * @param pass from 0 on
 */
public record Pass(LayerStep step, Selection selection, int pass) {
  public Pass {
    Checks.check(step.batch(), step.layer(), selection);
    Checks.check(selection, pass);
    Checks.require(
        step.layer().window().fewest() >= selection.passChunks(),
        "a window of %d slots cannot hold a pass of %d chunks",
        step.layer().window().fewest(),
        selection.passChunks());
  }

  /** The rows of the step. */
  public StepBatch batch() {
    return step.batch();
  }

  /** The layer's state. */
  public KvLayer layer() {
    return step.layer();
  }
}

package dev.kvdrive.prefill;

import dev.kvdrive.transformer.ActivationBuffers;

/**
 * Sees the rotated queries and keys of a prompt as they are computed: what an index is calibrated
 * with.
 */
@FunctionalInterface
public interface ProjectionObserver {
  /** Looks at nothing. */
  ProjectionObserver NONE = (layer, start, rows, activations) -> {};

  /**
   * Called on the engine thread at the end of each quantum, when nothing is under way on the queue.
   *
   * @param start position of the first row
   * @param activations query, key and value of {@code rows} rows of the layer; good until it
   *     returns
   */
  void projected(int layer, int start, int rows, ActivationBuffers activations);
}

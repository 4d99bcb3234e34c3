package dev.kvdrive.device;

/**
 * One layer of a decode step: what every verb of a step works on.
 *
 * @param batch the rows
 * @param layer the layer's state
 */
public record LayerStep(StepBatch batch, KvLayer layer) {
  public LayerStep {
    Checks.check(batch);
    Checks.check(layer);
  }
}

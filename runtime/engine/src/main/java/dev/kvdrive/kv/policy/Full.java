package dev.kvdrive.kv.policy;

import dev.kvdrive.plan.PolicyShape;

/** Dense attention over the tiers: every chunk in every step, and no index at all. */
public final class Full implements Policy {
  private final PolicyShape shape;

  /**
   * @param shape without an index
   */
  public Full(PolicyShape shape) {
    this.shape = shape;
  }

  @Override
  public PolicyShape shape() {
    return shape;
  }

  @Override
  public void close(Closing closing) {
    // Nothing is kept: nothing is chosen.
  }

  @Override
  public void choose(Choosing choosing) {
    choosing.best();
  }

  @Override
  public void keep(Keeping keeping) {
    keeping.lookahead();
  }
}

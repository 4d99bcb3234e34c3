package dev.kvdrive.kv.policy;

import dev.kvdrive.plan.PolicyShape;

/**
 * Dense attention as offloading engines do it (FlexGen, Sheng et al., ICML 2023): a layer's keys
 * and values stream from DRAM in every step, as many at a time as are attended at once, and none of
 * them is kept for the next. Its windows have room for one pass and are empty before each.
 *
 * <p>Of FlexGen this is the cache's way through the tiers. What it does beside that (a block of
 * batches at a time, weights that are offloaded too, four-bit caches, attention on the CPU) has no
 * counterpart here: weights are resident and batches continuous.
 */
public final class FullOffload implements Policy {
  private final PolicyShape shape;

  /**
   * @param shape without an index, with windows of one pass
   */
  public FullOffload(PolicyShape shape) {
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
    keeping.nothing();
  }
}

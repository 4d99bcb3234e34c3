package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.PolicyShape;

/**
 * Quest (Tang et al., ICML 2024). Of a page of 16 tokens the index has the smallest and the largest
 * of each element of its keys, from which no product of a query with a key of the page can be
 * larger than an upper bound; the pages with the largest bounds are attended. The first two layers
 * are dense.
 *
 * <p>Where this engine differs: Quest chooses for every query head, here all queries of a group
 * attend what their KV head has chosen, so a page counts by the largest bound that any of them has
 * for it. A page is two chunks, which have its score: the budget is filled page by page, to the
 * chunk. Quest always attends the last page and has no window, since all pages stay on the GPU;
 * here sink and local tokens are always attended, for all policies alike, and the window keeps what
 * was used most recently.
 */
public final class Quest implements Policy {
  private final PolicyShape shape;

  /**
   * @param shape with pages and dense layers
   */
  public Quest(PolicyShape shape) {
    this.shape = shape;
  }

  @Override
  public PolicyShape shape() {
    return shape;
  }

  @Override
  public void close(Closing closing) {
    closing.summarise();
  }

  @Override
  public void choose(Choosing choosing) {
    choosing.score(Merge.LARGEST_PRODUCT);
    choosing.best();
  }

  @Override
  public void keep(Keeping keeping) {
    if (shape.dense(keeping.pass().layer().layer())) {
      keeping.lookahead(); // what was used least recently is what a pass over everything needs next
    }
  }

  @Override
  public void used(Keeping keeping) {
    keeping.recent();
  }
}

package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.PolicyShape;

/**
 * KVDrive as published (arXiv 2605.18071), as far as its paper says it: the representative of a
 * chunk of 8 tokens is the mean of its keys, the chunks that get the largest share of attention by
 * it are attended, and of those in the window the one with the least attention in this step leaves
 * first (lookahead eviction).
 *
 * <p>The paper has centroids above the representatives, of which the best open theirs; they save
 * look-ups and GPU memory and choose, it says, as well as all representatives do. Here all
 * representatives are scored, which is the most that index can know.
 */
public final class KvDrivePaper implements Policy {
  private final PolicyShape shape;

  /**
   * @param shape with means
   */
  public KvDrivePaper(PolicyShape shape) {
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
    choosing.score(Merge.LARGEST_SHARE);
    choosing.best();
  }

  @Override
  public void keep(Keeping keeping) {
    keeping.lookahead();
  }
}

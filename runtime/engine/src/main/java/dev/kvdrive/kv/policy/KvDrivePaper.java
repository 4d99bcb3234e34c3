package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.PolicyShape;

/**
 * KVDrive as published (arXiv 2605.18071), as far as its paper says it. The representative of a
 * chunk of 8 tokens is the mean of its keys, centroids are above the representatives, and of the
 * chunks that the best centroids open those with the largest share of attention by their
 * representatives are attended. Of the chunks in the window the one with the least attention in
 * this step leaves first (lookahead eviction).
 *
 * <p>The paper tries 2,048 to 8,192 centroids for contexts of 60k to 360k tokens; here there is one
 * for four chunks on average, as 4,096 are for 120k, found by k-means in segments of 8,192 tokens.
 * How many are opened is not known to us: here as many as have {@value #OPENED} times the chunks
 * that a step attends, so that at a budget of 6.25 % a quarter of the representatives is read. A
 * chunk that closes later joins the nearest centroid.
 *
 * <p>Centroids save look-ups; what they can choose is what all representatives would have chosen,
 * or less. {@code kvdrive-paper-flat} scores all representatives, the most that this index can
 * know. Windows are warmed up by the last tokens of a prompt, as in the paper, and may be divided
 * over layers and heads by their reuse, as for all policies. Not here: the order of chunks on the
 * drive.
 */
public final class KvDrivePaper implements Policy {
  private static final int OPENED = 4;

  private final PolicyShape shape;
  private final boolean narrows;

  /**
   * @param shape with means, and with centroids or without
   */
  public KvDrivePaper(PolicyShape shape) {
    this.shape = shape;
    narrows = shape.clusters() != null;
  }

  @Override
  public PolicyShape shape() {
    return shape;
  }

  @Override
  public void close(Closing closing) {
    closing.summarise();
    if (narrows) {
      closing.join();
    }
  }

  @Override
  public void build(Building building) {
    if (narrows) {
      building.cluster();
    }
  }

  @Override
  public void choose(Choosing choosing) {
    if (narrows) {
      choosing.scoreOpened(Merge.LARGEST_SHARE, OPENED);
    } else {
      choosing.score(Merge.LARGEST_SHARE);
    }
    choosing.best();
  }

  @Override
  public void keep(Keeping keeping) {
    keeping.lookahead();
  }

  @Override
  public boolean warmsUp() {
    return true;
  }
}

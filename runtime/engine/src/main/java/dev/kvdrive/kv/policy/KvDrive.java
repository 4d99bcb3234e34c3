package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.PolicyShape;

/**
 * KVDrive (arXiv 2605.18071) with keys of a few bits as representatives (decisions 82, 115): the
 * queries of a group estimate each chunk's share of attention, the largest shares within the budget
 * are attended. A chunk stays in the window by the share that this very step estimates for it
 * (lookahead eviction, decision 108), by how often it was used and how lately (decision 199); to
 * measure what that is worth, {@code kvdrive-recent} has the chunk used least recently leave first.
 * Where the shape has clusters, what is not attended is estimated by them (decision 105).
 */
public final class KvDrive implements Policy {
  private final PolicyShape shape;
  private final boolean recent;
  private final boolean estimates;

  /**
   * @param shape with the format of its index
   * @param recent whether the chunk used least recently leaves first
   */
  public KvDrive(PolicyShape shape, boolean recent) {
    this.shape = shape;
    this.recent = recent;
    estimates = shape.clusters() != null;
  }

  @Override
  public PolicyShape shape() {
    return shape;
  }

  @Override
  public void close(Closing closing) {
    closing.summarise();
    if (estimates) {
      closing.join();
    }
  }

  @Override
  public void build(Building building) {
    if (estimates) {
      building.cluster();
    }
  }

  @Override
  public void choose(Choosing choosing) {
    choosing.score(Merge.LARGEST_SHARE);
    choosing.best();
  }

  @Override
  public void rest(Resting resting) {
    if (estimates) {
      resting.estimate();
    }
  }

  @Override
  public void keep(Keeping keeping) {
    if (!recent) {
      keeping.lookaheadByUse();
    }
  }

  @Override
  public void used(Keeping keeping) {
    if (recent) {
      keeping.recent();
    }
  }

  @Override
  public boolean warmsUp() {
    return shape.selects();
  }

  @Override
  public boolean prefetches() {
    return shape.selects();
  }
}

package dev.kvdrive.kv.policy;

import dev.kvdrive.plan.PolicyShape;

/**
 * RetroInfer (Chen et al., arXiv 2505.02922, VLDB 2026). Its wave index is the clusters of similar
 * keys of a prompt, 16 tokens each on average, found by k-means in segments of 8,192 tokens: the
 * centroid, the values' mean, the size. Attention has three parts. The <i>steady zone</i>, the
 * first and the last tokens, is attended always. Clusters are ranked by the softmax of their
 * centroids' products, added up over the queries of a group; the best, 1.8 % of the context in the
 * paper, are the <i>retrieval zone</i> and attended exactly. The next, 23.2 %, are the
 * <i>estimation zone</i>: a cluster counts as one token with the centroid as key, the mean value,
 * and the log of its size added to the score. All are merged by log-sum-exp. What was attended
 * exactly stays on the GPU until it has been used least recently.
 *
 * <p>Where this engine differs:
 *
 * <ul>
 *   <li>The paper stores a cluster's tokens together and fetches clusters whole. Here what is
 *       stored, fetched and attended is a chunk of 8 neighbouring tokens, for all policies alike.
 *       So a chunk counts by what the clusters of its tokens weigh, and the best chunks within the
 *       budget are attended: those with most tokens in the best clusters.
 *   <li>All clusters are estimated, without their tokens in chosen chunks; the paper leaves out
 *       what is in neither zone, 75 % of the context. That is what clusters can know at most.
 *   <li>The paper clusters keys minus their mean by their directions, in ten rounds; here by their
 *       distances, in six, with centroids and mean values of 8 bits an element ({@link
 *       dev.kvdrive.plan.ClusterFormat}). Generated tokens join the nearest cluster as their chunk
 *       closes, where the paper clusters each 1,024 of them anew.
 *   <li>The paper's GPU cache takes 5 % of the keys and values, and admits misses behind the
 *       attention; here the window has what is left of the GPU's memory.
 * </ul>
 */
public final class RetroInfer implements Policy {
  private final PolicyShape shape;

  /**
   * @param shape with clusters, and no summaries
   */
  public RetroInfer(PolicyShape shape) {
    this.shape = shape;
  }

  @Override
  public PolicyShape shape() {
    return shape;
  }

  @Override
  public void close(Closing closing) {
    closing.join();
  }

  @Override
  public void build(Building building) {
    building.cluster();
  }

  @Override
  public void choose(Choosing choosing) {
    choosing.scoreClusters();
    choosing.best();
  }

  @Override
  public void rest(Resting resting) {
    resting.estimate();
  }

  @Override
  public void keep(Keeping keeping) {
    // Keys are those that a chunk's last use has left.
  }

  @Override
  public void used(Keeping keeping) {
    keeping.recent();
  }
}

package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.PolicyShape;

/**
 * ShadowKV (Sun et al., ICML 2025). The landmark of a chunk of 8 tokens is the mean of its keys
 * after rotation; a query head's scores are the softmax of its products with all landmarks, and the
 * best chunks of a group by the largest score of its heads are attended. Outliers, the chunks whose
 * keys agree least with their landmark (lowest minimum of the cosines), are attended always. The
 * window has room for one selection, and what was not selected again leaves it.
 *
 * <p>The paper adds outliers to its budget: 24 chunks to each 128 selected ones. Here they are part
 * of it, so that all policies attend as much: {@value #OUTLIERS} of {@value #OF_CHUNKS} chunks of a
 * budget are outliers. They are the lowest of all closed chunks in every step, also of those that
 * generation has closed, while the paper keeps generated tokens on the GPU and finds outliers once,
 * at the end of the prompt.
 *
 * <p>Not here: the paper keeps keys of rank 160 on the GPU and rebuilds those that it needs, so
 * that only values are fetched. This engine fetches keys with the values: its accuracy is that of
 * exact keys, a miss costs twice the paper's bytes, and the GPU memory for the low-rank keys is not
 * taken.
 */
public final class ShadowKv implements Policy {
  private static final int OUTLIERS = 3;
  private static final int OF_CHUNKS = 19;

  private final PolicyShape shape;

  /**
   * @param shape with landmarks, and windows of one selection
   */
  public ShadowKv(PolicyShape shape) {
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
    choosing.pin(OUTLIERS, OF_CHUNKS);
    choosing.best();
  }

  @Override
  public void keep(Keeping keeping) {
    keeping.onlyChosen();
    // What matters where a step that attends everything goes through its windows in passes.
    keeping.lookahead();
  }
}

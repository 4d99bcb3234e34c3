package dev.kvdrive.plan;

import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What a plan has to know of a policy, which decides what a step attends and what stays in the
 * window: pure numbers. The policy itself is the engine's.
 *
 * @param name as users write it
 * @param summary what its index keeps of chunks
 * @param denseLayers the first layers, which attend everything whatever the budget
 * @param window how large its windows may be
 * @param clusters of similar keys, by which it estimates what is not attended, or chooses; null for
 *     none
 */
public record PolicyShape(
    String name,
    SummaryFormat summary,
    int denseLayers,
    WindowLimit window,
    @Nullable ClusterFormat clusters) {
  /** How many chunks a window has room for at most. */
  public enum WindowLimit {
    /** What is left of the GPU memory. */
    WHAT_IS_LEFT,
    /** The chunks that one step selects. */
    ONE_SELECTION,
    /** The chunks that are attended at once. */
    ONE_PASS
  }

  /** Most bits of a fitted key, unless another number is asked for. */
  private static final int FITTED_BITS = 128;

  /** Fewest bits of a fitted key that a plan proposes: nobody measured fewer. */
  static final int LEAST_FITTED_BITS = 64;

  /** Elements of heads up to which clusters are small, and how many tokens these have. */
  private static final int SMALL_HEAD = 64;

  private static final int SMALL_CLUSTER = 16;

  /** Chunks are chosen by their share of attention, estimated from two-bit keys. */
  public static final PolicyShape KVDRIVE = new PolicyShape("kvdrive", SummaryFormat.twoBit());

  /** The same, but the chunk used least recently leaves a window first. */
  public static final PolicyShape KVDRIVE_RECENT =
      new PolicyShape("kvdrive-recent", SummaryFormat.twoBit());

  /** Tokens of a centroid of KVDrive's paper on average: four chunks. */
  private static final int PAPER_CENTROID = 32;

  /** KVDrive as its paper has it: chosen by mean keys, which centroids above them narrow down. */
  public static final PolicyShape KVDRIVE_PAPER =
      new PolicyShape(
          "kvdrive-paper",
          SummaryFormat.mean(),
          0,
          WindowLimit.WHAT_IS_LEFT,
          ClusterFormat.ofChunks(PAPER_CENTROID));

  /** The same without the centroids: all mean keys are scored. */
  public static final PolicyShape KVDRIVE_PAPER_FLAT =
      new PolicyShape("kvdrive-paper-flat", SummaryFormat.mean());

  /** Quest: pages of 16 tokens by an upper bound, the first two layers dense. */
  public static final PolicyShape QUEST =
      new PolicyShape("quest", SummaryFormat.minMax(), 2, WindowLimit.WHAT_IS_LEFT);

  /** ShadowKV: landmarks and outliers; what the last step selected stays. */
  public static final PolicyShape SHADOWKV =
      new PolicyShape("shadowkv", SummaryFormat.landmark(), 0, WindowLimit.ONE_SELECTION);

  /** Tokens of a cluster of RetroInfer on average. */
  private static final int RETROINFER_CLUSTER = 16;

  /** RetroInfer: chosen by the clusters of similar keys that also estimate the rest. */
  public static final PolicyShape RETROINFER =
      new PolicyShape(
          "retroinfer",
          SummaryFormat.none(),
          0,
          WindowLimit.WHAT_IS_LEFT,
          ClusterFormat.byKeys(RETROINFER_CLUSTER));

  /** Every chunk is attended in every step; there is no index. */
  public static final PolicyShape FULL = new PolicyShape("full", SummaryFormat.none());

  /** Like {@link #FULL}, and every chunk comes anew in every step. */
  public static final PolicyShape FULL_OFFLOAD =
      new PolicyShape("full-offload", SummaryFormat.none(), 0, WindowLimit.ONE_PASS);

  private static final List<PolicyShape> ALL =
      List.of(
          KVDRIVE,
          KVDRIVE_RECENT,
          KVDRIVE_PAPER,
          KVDRIVE_PAPER_FLAT,
          QUEST,
          SHADOWKV,
          RETROINFER,
          FULL,
          FULL_OFFLOAD);

  public PolicyShape {
    if (denseLayers < 0) {
      throw new IllegalArgumentException(
          "policy %s cannot have %d dense layers".formatted(name, denseLayers));
    }
  }

  /** Without an estimate. */
  public PolicyShape(String name, SummaryFormat summary, int denseLayers, WindowLimit window) {
    this(name, summary, denseLayers, window, null);
  }

  /** Sparse in all layers, with windows as large as may be. */
  public PolicyShape(String name, SummaryFormat summary) {
    this(name, summary, 0, WindowLimit.WHAT_IS_LEFT);
  }

  /** All there are. */
  public static List<PolicyShape> all() {
    return ALL;
  }

  /**
   * The policy that a user has named.
   *
   * @throws IllegalArgumentException if there is none, with those there are
   */
  public static PolicyShape named(String name) {
    return ALL.stream()
        .filter(shape -> shape.name.equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "there is no policy '%s'; there are %s"
                        .formatted(
                            name,
                            ALL.stream()
                                .map(PolicyShape::name)
                                .collect(Collectors.joining(", ")))));
  }

  /**
   * The policy that a user has named, with the index that the model gets where none is asked for.
   *
   * @throws IllegalArgumentException if there is none, with those there are
   */
  public static PolicyShape named(String name, ModelGeometry model) {
    PolicyShape shape = named(name);
    return shape.takesIndex() ? shape.withIndex(kvdrive(model).index()) : shape;
  }

  /**
   * What a deployment gets.
   *
   * @param name of the policy; null for {@link #KVDRIVE}
   * @param index null for the one that the model gets
   * @throws IllegalArgumentException if there is no such policy, or it chooses by another index,
   *     with the way out
   */
  public static PolicyShape of(
      @Nullable String name, @Nullable IndexShape index, ModelGeometry model) {
    PolicyShape shape = name == null ? KVDRIVE : named(name);
    if (index == null) {
      return named(shape.name, model);
    }
    if (!shape.takesIndex()) {
      throw new IllegalArgumentException(
          "policy %s has an index of its own; leave the index %s out, or take the policy kvdrive"
              .formatted(shape.name, index.word()));
    }
    return shape.withIndex(index);
  }

  /** Whether it chooses by any index; the others by their own. */
  public boolean takesIndex() {
    return name.equals(KVDRIVE.name) || name.equals(KVDRIVE_RECENT.name);
  }

  /**
   * KVDrive with the index that a model gets where none is asked for: bit planes where a
   * calibration comes with it, with clusters for the rest, else two bits an element, which need
   * none. A key has one and a half bits an element, up to {@value #FITTED_BITS}. Up to {@value
   * #SMALL_HEAD} elements a cluster has {@value #SMALL_CLUSTER} tokens, in 4 bits (decision 142);
   * above, as many tokens as a head has elements, so that at 128 index and clusters together stay
   * below 4 % of keys and values in 16 bits.
   */
  public static PolicyShape kvdrive(ModelGeometry model) {
    int bits =
        Math.min(FITTED_BITS, 3 * model.headDim() / 2)
            / BitPlaneSummary.WORD
            * BitPlaneSummary.WORD;
    if (!model.calibrated() || bits == 0) {
      return KVDRIVE;
    }
    ClusterFormat clusters =
        model.headDim() <= SMALL_HEAD
            ? ClusterFormat.of(SMALL_CLUSTER).inNibbles()
            : ClusterFormat.of(Integer.highestOneBit(model.headDim()));
    return KVDRIVE.withIndex(new IndexShape(SummaryFormat.bitPlanes(bits), clusters));
  }

  /** Whether it can attend less than everything. */
  public boolean selects() {
    return !summary.equals(SummaryFormat.none()) || clusters != null;
  }

  /** Whether a layer attends everything whatever the budget. */
  public boolean dense(int layer) {
    return layer < denseLayers;
  }

  /** The same with another index. */
  public PolicyShape withIndex(IndexShape index) {
    return new PolicyShape(name, index.summary(), denseLayers, window, index.clusters());
  }

  /** Its index as users write it. */
  public IndexShape index() {
    return new IndexShape(summary, clusters);
  }

  /** Bytes of the clusters of a (seat, layer, KV head); 0 for none. */
  long clusterBytes(KvLayout layout, int maxChunks) {
    return clusters == null ? 0 : clusters.bytesOfHead(layout, maxChunks);
  }

  /** The same with so many dense layers. */
  public PolicyShape withDenseLayers(int layers) {
    return new PolicyShape(name, summary, layers, window, clusters);
  }
}

package dev.kvdrive.device;

import static dev.kvdrive.device.Checks.check;
import static dev.kvdrive.device.Checks.require;
import static dev.kvdrive.device.Checks.view;

import dev.kvdrive.plan.SummaryFormat;
import org.jspecify.annotations.Nullable;

/**
 * The index: a summary of every closed chunk, in the layer's {@link LayerIndex#format}, scores of
 * the chunks by their summaries, and the best of them; clusters of similar keys, where the layer
 * has {@link LayerIndex#clusters}. The same bits of a summary and of a cluster on every device.
 */
public interface IndexOperations {
  /** What becomes of the products of a group's query heads with one summary. */
  enum Merge {
    /**
     * The largest share: the maximum over the heads of {@code s(h,i) - log sum_j exp s(h,j)}, the
     * sum over all summaries of the closed chunks. Where the row may miss a share of its attention,
     * what {@code begun} has attended is part of the sum: its running sum, less what the products
     * of the query with all keys have in common, which {@code s} of bit planes leaves out: {@code
     * scale * q_h . mean}.
     */
    LARGEST_SHARE,
    /** The largest product: the maximum over the heads of {@code s(h,i)}. */
    LARGEST_PRODUCT
  }

  /**
   * Scores every closed chunk of each (row, KV head): the chunk's score is that of the summary it
   * belongs to, the merged products of the group's query heads {@code q_h} with it. The product
   * {@code s(h,i)} with summary {@code i} says the format:
   *
   * <ul>
   *   <li>two-bit keys, bit planes: {@code log sum_t exp(scale * q_h . k_t)} over the keys that the
   *       summary stands for, which is the share of attention that they estimate;
   *   <li>mean, landmark: {@code scale * q_h . mean};
   *   <li>min-max: {@code scale * sum_d max(q_h[d] * smallest[d], q_h[d] * largest[d])}, which no
   *       key of the page exceeds.
   * </ul>
   *
   * Equal summaries have equal scores. Where a row selects all of its closed chunks, whatever it
   * may miss, the scores may be left unwritten.
   *
   * @param begun where the step's attention has attended sink and local tokens, behind its {@code
   *     begin}: needed where rows may miss a share, for the share is of all attention. Its scores
   *     then are shares, of a format that estimates them. Null where no row may
   */
  record Score(
      LayerStep step,
      AttentionShape shape,
      Activations query,
      Selection selection,
      Merge merge,
      @Nullable AttentionState begun) {
    /** Where no row may miss a share. */
    public Score(
        LayerStep step, AttentionShape shape, Activations query, Selection selection, Merge merge) {
      this(step, shape, query, selection, merge, null);
    }

    public Score {
      Checks.checkSummaries(step.layer());
      check(step.layer(), shape);
      check(step.batch(), step.layer(), selection);
      view("query", query, step.batch().rows(), shape.heads() * shape.headDim());
      if (begun != null) {
        check(step.batch(), step.layer(), shape, begun);
      }
      SummaryFormat format = step.layer().index().format();
      require(
          step.batch().mayMiss() == null
              || (begun != null && merge == Merge.LARGEST_SHARE && format.estimatesShares()),
          "what a step may miss needs shares of all attention; an index of format %s merged by %s %s",
          format.word(),
          merge,
          begun == null ? "without the attention to sink and ring has none" : "has none");
    }
  }

  /**
   * Scores every closed chunk of each (row, KV head) by the clusters that its tokens are in. With
   * {@code s(h,j) = scale * q_h . c_j} for the query heads {@code h} of the group and the clusters
   * {@code j} of the sequence that have tokens, a cluster's weight is the sum of its softmax over
   * the heads, {@code w(j) = sum_h exp s(h,j) / sum_i exp s(h,i)}, and the score is {@code log
   * sum_t w(j_t)} over the clusters {@code j_t} of the chunk's tokens. Where a row selects all of
   * its closed chunks the scores may be left unwritten.
   */
  record ScoreClusters(
      LayerStep step, AttentionShape shape, Activations query, Selection selection) {
    public ScoreClusters {
      Checks.checkClustersOfTokens(step.layer());
      check(step.layer(), shape);
      check(step.batch(), step.layer(), selection);
      view("query", query, step.batch().rows(), shape.heads() * shape.headDim());
    }
  }

  /**
   * Scores the chunks that the best clusters open, as {@code of} says, as if there were no others,
   * which get minus infinity. A cluster's products {@code s(h,j)} with its centroid are merged as
   * those with summaries are, over the clusters of the sequence that have a chunk. The best
   * clusters are opened, at least one, until {@code times} as many chunks are open as the row
   * selects, or all are; clusters that are as good as the last one too. Chunks that are in no
   * cluster yet are open and count first. Needs clusters of chunks.
   */
  record ScoreOpened(Score of, int times) {
    public ScoreOpened {
      Checks.checkClustersOfChunks(of.step().layer());
      Checks.positive("times", times);
    }
  }

  /**
   * Makes sure of outliers: of the {@code n} chunks that a row is going to select, {@code n * of /
   * per}, rounded down, are those whose summaries have the lowest cosines (the lower chunk among
   * equals), since their scores become positive infinity. The others' scores stay. After {@code
   * score}; nothing where a row selects all of its closed chunks. Needs landmarks.
   */
  record Pin(LayerStep step, Selection selection, int of, int per) {
    public Pin {
      Checks.checkSummaries(step.layer());
      check(step.batch(), step.layer(), selection);
      require(
          step.layer().index().format() instanceof SummaryFormat.Landmark,
          "an index of format %s knows no cosines",
          step.layer().index().format().word());
      require(of >= 0 && of <= per && per > 0, "%d of %d chunks cannot be outliers", of, per);
    }
  }

  /**
   * Selects the {@code selectCounts[r]} closed chunks of each (row, KV head) with the largest
   * scores, the lower chunk among equals; ascending. A row that asks for at least its closed chunks
   * gets all of them, and its scores are not read.
   *
   * <p>A row that may miss a share of its attention selects fewer: in each KV head the fewest for
   * which {@code exp(score)} of all that it leaves out, summed up, is at most that share. By the
   * index's estimate no query head of the group then misses more. {@link #least} of what it would
   * select otherwise at least, also where sink and local tokens are enough: a head that mostly
   * looks at them may find what matters in the little that is left. {@code selectCounts[r]} at
   * most, even if that is too few.
   */
  record Best(LayerStep step, Selection selection) {
    /** One of so many chunks is selected even where fewer are enough. */
    public static final int LEAST_OF = 4;

    public Best {
      check(step.batch(), step.layer(), selection);
    }

    /**
     * Chunks that a row selects at least in each KV head.
     *
     * @param count what it selects at most, of its closed chunks
     */
    public static int least(int count) {
      return (count + LEAST_OF - 1) / LEAST_OF;
    }
  }

  /**
   * Clusters a segment of a prompt as {@link dev.kvdrive.plan.ClusterFormat} says: chunks from the
   * start of a segment on, as many as it has at most. Tokens are taken from the scratch, chunks by
   * their summaries, which are written before. Those behind them are in no cluster afterwards.
   */
  record Cluster(PromptChunks chunks) {
    public Cluster {
      KvLayer layer = chunks.layer();
      Checks.checkClusters(layer);
      int segment = layer.index().clustering().format().segmentChunks(layer.layout());
      Checks.require(
          chunks.from() % segment == 0 && chunks.to() - chunks.from() <= segment,
          "chunks %d to %d are no segment of %d",
          chunks.from(),
          chunks.to(),
          segment);
    }
  }

  /**
   * Takes the chunk that each row's newest token has closed, if it has, into the clusters, as
   * {@link dev.kvdrive.plan.ClusterFormat} says, from the ring or by its summary: after {@code
   * append} and {@code summarise}, before the next token. Nothing where the chunk is in clusters
   * already, as when a step is repeated.
   */
  record Join(LayerStep step) {
    public Join {
      Checks.checkClusters(step.layer());
    }
  }

  /**
   * Writes the summary of the chunk that each row's newest token has closed, if it has, from the
   * ring: after {@code append}, before the next token. Where a summary is of several chunks, the
   * first of them begins it, and each further one is added.
   */
  void summarise(Queue queue, LayerStep step);

  /** Writes the summaries of a prompt's chunks, from the scratch. */
  void summarise(Queue queue, PromptChunks chunks);

  /** See {@link Cluster}. */
  void cluster(Queue queue, Cluster segment);

  /** See {@link Join}. */
  void join(Queue queue, Join join);

  /** See {@link Score}. */
  void score(Queue queue, Score score);

  /** See {@link ScoreClusters}. */
  void scoreClusters(Queue queue, ScoreClusters score);

  /** See {@link ScoreOpened}. */
  void scoreOpened(Queue queue, ScoreOpened score);

  /** See {@link Pin}. */
  void pin(Queue queue, Pin pin);

  /** See {@link Best}. */
  void best(Queue queue, Best best);
}

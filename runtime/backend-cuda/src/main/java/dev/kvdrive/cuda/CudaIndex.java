package dev.kvdrive.cuda;

import static dev.kvdrive.cuda.Constants.BIT_WEIGHTS_BYTES;
import static dev.kvdrive.cuda.Constants.CLUSTER_THREADS;
import static dev.kvdrive.cuda.Constants.CLUSTER_TOKENS;
import static dev.kvdrive.cuda.Constants.MAX_CHUNK;
import static dev.kvdrive.cuda.Constants.SCORE_QUERIES;
import static dev.kvdrive.cuda.Constants.SCORE_TILE;
import static dev.kvdrive.cuda.Constants.SCORE_WARPS;
import static dev.kvdrive.cuda.Constants.SELECT_THREADS;
import static dev.kvdrive.cuda.Constants.SHARE_THREADS;
import static dev.kvdrive.cuda.Constants.SHARE_TILE;
import static dev.kvdrive.cuda.Constants.WARP;
import static dev.kvdrive.cuda.Constants.WEIGH_QUERIES;
import static dev.kvdrive.cuda.Constants.WEIGH_THREADS;
import static dev.kvdrive.cuda.CudaOperations.batch;
import static dev.kvdrive.cuda.CudaOperations.chosen;
import static dev.kvdrive.cuda.CudaOperations.layer;
import static dev.kvdrive.cuda.CudaOperations.requireKernelsFor;
import static dev.kvdrive.cuda.CudaOperations.rows;
import static dev.kvdrive.cuda.CudaOperations.select;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.LandmarkSummary;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.TwoBitSummary;
import org.jspecify.annotations.Nullable;

/** Summaries of all formats, scores by them, and the best; clusters. */
final class CudaIndex implements IndexOperations {
  private static final int SUMMARISE_THREADS = 128;

  /** Blocks of a multiprocessor that look for the nearest clusters at once, and their memory. */
  private static final int JOIN_BLOCKS = 2;

  private static final int JOIN_SHARED = 80 << 10;

  /** Blocks of a multiprocessor that score by bit planes at once. */
  private static final int SCORE_BLOCKS = 3;

  private final Gpu gpu;

  CudaIndex(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void summarise(Queue queue, LayerStep step) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = step.layer();
    requireKernelsFor(of.layout());
    Structs.Step s = Structs.STEP;
    Arguments a = layer(own.arguments(), s.layer, of);
    batch(a, s.batch, step.batch());
    own.launch(
        gpu.kernel("summariseClosed_" + Form.of(of).writing),
        of.layout().kvHeads(),
        step.batch().rows(),
        1,
        SUMMARISE_THREADS,
        0,
        a.end(s));
  }

  @Override
  public void summarise(Queue queue, PromptChunks chunks) {
    if (chunks.to() == chunks.from()) {
      return;
    }
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = chunks.layer();
    requireKernelsFor(of.layout());
    Arguments a =
        CudaKv.withoutFrames(
            CudaKv.prompt(own, of, chunks.scratch(), chunks.from(), chunks.to(), chunks.seat()));
    SummaryFormat format = of.index().format();
    own.launch(
        gpu.kernel("summarisePrompt_" + Form.of(of).writing),
        format.summaries(chunks.to()) - chunks.from() / format.chunks(),
        of.layout().kvHeads(),
        1,
        SUMMARISE_THREADS,
        0,
        a.end(Structs.PROMPT));
  }

  @Override
  public void cluster(Queue queue, Cluster segment) {
    PromptChunks chunks = segment.chunks();
    if (chunks.to() == chunks.from()) {
      return;
    }
    KvLayer of = chunks.layer();
    KvLayout layout = of.layout();
    requireKernelsFor(layout);
    CudaQueue own = (CudaQueue) queue;
    ClusterFormat format = of.index().clustering().format();
    int members = (chunks.to() - chunks.from()) * format.ofChunk(layout);
    int clusters = format.clusters(layout, chunks.to() - chunks.from());
    int heads = layout.kvHeads();
    long centroidBytes = 4L * heads * clusters * format.depth(layout);
    long workspace = own.workspace(centroidBytes + 4L * heads * clusters);
    int tiles = Math.ceilDiv(members, CLUSTER_TOKENS);
    for (int round = 0; round <= ClusterFormat.ROUNDS; round++) {
      Structs.Cluster s = Structs.CLUSTER;
      var struct =
          layer(own.arguments(), s.layer, of)
              .put(s.scratch, CudaQueue.address(chunks.scratch().buffer()))
              .put(s.centroids, workspace)
              .put(s.biases, workspace + centroidBytes)
              .put(s.maxTokens, chunks.scratch().maxTokens())
              .put(s.seat, chunks.seat())
              .put(s.from, chunks.from())
              .put(s.to, chunks.to())
              .put(s.clusters, clusters)
              .put(s.firstCluster, format.clusters(layout, chunks.from()))
              .put(s.last, round == ClusterFormat.ROUNDS ? 1 : 0)
              .end(s);
      if (round == 0) {
        if (chunks.from() == 0 && format.comparesValues()) {
          own.launch(gpu.kernel("weighValues"), heads, 1, 1, CLUSTER_THREADS, 0, struct);
        }
        own.launch(gpu.kernel("startClusters"), clusters, heads, 1, CLUSTER_THREADS, 0, struct);
      } else {
        own.launch(gpu.kernel("nearestClusters"), tiles, heads, 1, CLUSTER_THREADS, 0, struct);
        own.launch(
            gpu.kernel("moveClusters"),
            clusters,
            heads,
            1,
            CLUSTER_THREADS,
            Short.BYTES * members,
            struct);
      }
    }
  }

  @Override
  public void join(Queue queue, Join join) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = join.step().layer();
    requireKernelsFor(of.layout());
    KvLayout layout = of.layout();
    ClusterFormat format = of.index().clustering().format();
    StepBatch batch = join.step().batch();
    int cells = batch.rows() * layout.kvHeads();
    int clusterBytes = format.bytes(layout);
    int rowsBytes = 4 * MAX_CHUNK * format.depth(layout);
    int most = (Math.min(JOIN_SHARED, gpu.sharedBytesOfBlock()) - rowsBytes) / clusterBytes;
    int tile = Math.clamp(most, 1, CLUSTER_THREADS);
    int tiles = Math.ceilDiv(format.clusters(layout, of.maxChunks()), tile);
    int blocks = Math.clamp(JOIN_BLOCKS * gpu.multiprocessors() / cells, 1, tiles);
    Structs.Join s = Structs.JOIN;
    Arguments a = layer(own.arguments(), s.layer, of);
    batch(a, s.batch, batch)
        .put(s.nearest, own.workspace(8L * cells * blocks * MAX_CHUNK))
        .put(s.tickets, own.tickets(cells))
        .put(s.tile, tile);
    own.launch(
        gpu.kernel("joinClusters"),
        layout.kvHeads(),
        batch.rows(),
        blocks,
        CLUSTER_THREADS,
        rowsBytes + tile * clusterBytes,
        a.end(s));
  }

  @Override
  public void score(Queue queue, Score score) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = score.step().layer();
    AttentionShape shape = score.shape();
    int tiles = Math.ceilDiv(of.index().format().summaries(of.maxChunks()), SCORE_TILE);
    scoreRows(
        own,
        score.step(),
        shape,
        score.query(),
        score.selection(),
        score.merge(),
        0,
        score.begun(),
        (struct, rows) -> {
          Form form = Form.of(of);
          if (form.weighs) {
            own.launch(
                gpu.kernel("weighBits"),
                shape.kvHeads() * parts(shape),
                rows,
                Math.ceilDiv(Math.min(shape.groupSize(), SCORE_QUERIES), WEIGH_QUERIES),
                WEIGH_THREADS,
                0,
                struct);
          }
          int blocks = form.weighs ? inTurns(tiles, rows * shape.kvHeads() * parts(shape)) : tiles;
          raw(own, form.scoring(shape), blocks, shape, rows, struct);
          share(own, of, shape, rows, struct);
        });
  }

  /** As few blocks as take tiles in as few turns as the GPU needs for those of all cells. */
  private int inTurns(int tiles, int cells) {
    int room = Math.max(1, SCORE_BLOCKS * gpu.multiprocessors() / cells);
    return Math.ceilDiv(tiles, Math.ceilDiv(tiles, room));
  }

  /** Merges the raw scores of the queries of a group. */
  private void share(CudaQueue own, KvLayer of, AttentionShape shape, int rows, long struct) {
    own.launch(
        gpu.kernel("share"),
        Math.ceilDiv(of.maxChunks(), SHARE_TILE),
        shape.kvHeads(),
        rows,
        SHARE_THREADS,
        0,
        struct);
  }

  @Override
  public void scoreClusters(Queue queue, ScoreClusters score) {
    CudaQueue own = (CudaQueue) queue;
    AttentionShape shape = score.shape();
    int tiles = clusterTiles(score.step().layer());
    scoreRows(
        own,
        score.step(),
        shape,
        score.query(),
        score.selection(),
        Merge.LARGEST_SHARE,
        0,
        null,
        (struct, rows) -> {
          raw(own, "scoreCentroids", tiles, shape, rows, struct);
          own.launch(
              gpu.kernel("scoreByClusters"), shape.kvHeads(), rows, 1, SELECT_THREADS, 0, struct);
        });
  }

  @Override
  public void scoreOpened(Queue queue, ScoreOpened opened) {
    CudaQueue own = (CudaQueue) queue;
    Score score = opened.of();
    KvLayer of = score.step().layer();
    AttentionShape shape = score.shape();
    int tiles = Math.ceilDiv(of.maxChunks(), SCORE_TILE);
    scoreRows(
        own,
        score.step(),
        shape,
        score.query(),
        score.selection(),
        score.merge(),
        opened.times(),
        null,
        (struct, rows) -> {
          raw(own, "scoreCentroids", clusterTiles(of), shape, rows, struct);
          own.launch(
              gpu.kernel("openClusters"), shape.kvHeads(), rows, 1, SELECT_THREADS, 0, struct);
          raw(own, "scoreOpenedMean", tiles, shape, rows, struct);
          share(own, of, shape, rows, struct);
        });
  }

  private static int clusterTiles(KvLayer of) {
    int most = of.index().clustering().format().clusters(of.layout(), of.maxChunks());
    return Math.ceilDiv(most, SCORE_TILE);
  }

  /** Kernels that score some rows. */
  private interface Scoring {
    void launch(long struct, int rows);
  }

  /** Has rows scored, as many at a time as have room for their raw scores. */
  private void scoreRows(
      CudaQueue own,
      LayerStep step,
      AttentionShape shape,
      Activations query,
      Selection selection,
      Merge merge,
      int times,
      @Nullable AttentionState begun,
      Scoring scoring) {
    StepBatch batch = step.batch();
    requireKernelsFor(step.layer().layout());
    Structs.Score s = Structs.SCORE;
    int maxTiles = Math.ceilDiv(selection.maxChunks(), SCORE_TILE);
    long weightBytes = (long) shape.kvHeads() * parts(shape) * BIT_WEIGHTS_BYTES;
    long tileBytes = 8L * shape.heads() * maxTiles;
    long rawBytes = 4L * shape.heads() * selection.maxChunks();
    long rowBytes = weightBytes + tileBytes + rawBytes;
    long weights = own.workspace(Math.max(rowBytes, Cublas.WORKSPACE_BYTES));
    int some = Math.clamp(Cublas.WORKSPACE_BYTES / rowBytes, 1, batch.rows());
    long tiles = weights + some * weightBytes;
    for (int first = 0; first < batch.rows(); first += some) {
      Arguments a = layer(own.arguments(), s.layer, step.layer());
      batch(a, s.batch, batch);
      chosen(a, s.chosen, selection);
      rows(a, s.query, query)
          .put(s.raw, tiles + some * tileBytes)
          .put(s.tiles, tiles)
          .put(s.weights, weights)
          .put(s.maxTiles, maxTiles)
          .put(s.heads, shape.heads())
          .put(s.scale, shape.scale())
          .put(s.firstRow, first)
          .put(s.shares, merge == Merge.LARGEST_SHARE ? 1 : 0)
          .put(s.begun, begun == null ? 0 : CudaQueue.address(begun.buffer()))
          .put(s.times, times);
      scoring.launch(a.end(s), Math.min(some, batch.rows() - first));
    }
  }

  /** Launches a kernel that computes raw scores, up to {@code SCORE_QUERIES} queries a block. */
  private void raw(
      CudaQueue own, String kernel, int tiles, AttentionShape shape, int rows, long struct) {
    own.launch(
        gpu.kernel(kernel),
        tiles,
        shape.kvHeads() * parts(shape),
        rows,
        SCORE_WARPS * WARP,
        0,
        struct);
  }

  /** Blocks that share the queries of a group. */
  private static int parts(AttentionShape shape) {
    return Math.ceilDiv(shape.groupSize(), SCORE_QUERIES);
  }

  /**
   * The kernels of a format.
   *
   * @param writing its name in those that write summaries
   * @param scores the one that computes products; of bits, its variant for up to four queries
   * @param weighs whether it takes the weights of bits
   */
  private record Form(String writing, String scores, boolean weighs) {
    static Form of(KvLayer layer) {
      return switch (layer.index().format()) {
        case SummaryFormat.TwoBit() -> {
          int words = TwoBitSummary.of(layer.layout()).codeBytes() / Integer.BYTES;
          yield new Form("twoBit", "score_" + (words <= 4 ? 1 : words <= 8 ? 2 : 4), false);
        }
        case SummaryFormat.BitPlanes(int bits) -> {
          int words = Math.ceilDiv(bits, 4 * BitPlaneSummary.WORD);
          yield new Form("planes", "scorePlanes_" + (words <= 3 ? words : 6), true);
        }
        case SummaryFormat.Mean() -> new Form("mean", "scoreMean", false);
        case SummaryFormat.Landmark() -> new Form("landmark", "scoreMean", false);
        case SummaryFormat.MinMax() -> new Form("minMax", "scoreMinMax", false);
        case SummaryFormat.None() -> throw new IllegalStateException("there are no summaries");
      };
    }

    String scoring(AttentionShape shape) {
      return weighs ? scores + (shape.groupSize() <= 4 ? "_1" : "_2") : scores;
    }
  }

  @Override
  public void pin(Queue queue, Pin pin) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = pin.step().layer();
    Structs.Pin s = Structs.PIN;
    Arguments a = layer(own.arguments(), s.layer, of);
    batch(a, s.batch, pin.step().batch());
    chosen(a, s.chosen, pin.selection())
        .put(s.cosineOffset, LandmarkSummary.of(of.layout()).cosineOffset())
        .put(s.of, pin.of())
        .put(s.per, pin.per());
    own.launch(
        gpu.kernel("pin"),
        of.layout().kvHeads(),
        pin.step().batch().rows(),
        1,
        SELECT_THREADS,
        0,
        a.end(s));
  }

  @Override
  public void best(Queue queue, Best best) {
    CudaQueue own = (CudaQueue) queue;
    LayerStep step = best.step();
    Arguments a = select(own.arguments(), step, best.selection(), 0);
    own.launch(
        gpu.kernel("best"),
        step.layer().layout().kvHeads(),
        step.batch().rows(),
        1,
        SELECT_THREADS,
        0,
        a.end(Structs.SELECT));
  }
}

package dev.kvdrive.cuda;

import static dev.kvdrive.cuda.Constants.ATTEND_DENSE;
import static dev.kvdrive.cuda.Constants.ATTEND_HITS;
import static dev.kvdrive.cuda.Constants.ATTEND_MISSES;
import static dev.kvdrive.cuda.Constants.ATTEND_QUERIES;
import static dev.kvdrive.cuda.Constants.ATTEND_REST;
import static dev.kvdrive.cuda.Constants.ATTEND_WARPS;
import static dev.kvdrive.cuda.Constants.CAUSAL_KEYS;
import static dev.kvdrive.cuda.Constants.CAUSAL_LANES;
import static dev.kvdrive.cuda.Constants.CAUSAL_QUERIES;
import static dev.kvdrive.cuda.Constants.FINISH_THREADS;
import static dev.kvdrive.cuda.Constants.MAX_HEAD_DIM;
import static dev.kvdrive.cuda.Constants.STAGED_LIST;
import static dev.kvdrive.cuda.Constants.STAGED_TOKENS;
import static dev.kvdrive.cuda.Constants.STAGES;
import static dev.kvdrive.cuda.Constants.STATE_PARTS;
import static dev.kvdrive.cuda.Constants.TILE_KEYS;
import static dev.kvdrive.cuda.Constants.TILE_WARPS;
import static dev.kvdrive.cuda.Constants.WARP;
import static dev.kvdrive.cuda.Constants.WIDE_KEYS;
import static dev.kvdrive.cuda.Constants.WIDE_STAGES;
import static dev.kvdrive.cuda.CudaOperations.batch;
import static dev.kvdrive.cuda.CudaOperations.bits;
import static dev.kvdrive.cuda.CudaOperations.chosen;
import static dev.kvdrive.cuda.CudaOperations.layer;
import static dev.kvdrive.cuda.CudaOperations.requireHead;
import static dev.kvdrive.cuda.CudaOperations.requireKernelsFor;
import static dev.kvdrive.cuda.CudaOperations.rows;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import org.jspecify.annotations.Nullable;

/** Attention of steps and of prompts. */
final class CudaAttention implements AttentionOperations {
  /** Blocks for each multiprocessor among which a step's hits are split, or misses, or clusters. */
  private static final int SPLIT_BLOCKS = 2;

  /** The one compute capability that has the products of warpgroups. */
  private static final int WIDE_CAPABILITY = 90;

  /** Elements of a row of a panel, and queries of a warpgroup. */
  private static final int WIDE_PANEL = 64;

  private static final int WIDE_ROWS = 64;

  /** Bytes that a thread copies at a time. */
  private static final int PIECE = 16;

  /** Shared memory of the lists of chunks in a kernel with stages. */
  private static final int LISTS_BYTES = 4 * ATTEND_WARPS * STAGED_LIST;

  private final Gpu gpu;

  CudaAttention(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void begin(Queue queue, Begin b) {
    part((CudaQueue) queue, b.step(), null, b.shape(), b.query(), b.state(), ATTEND_DENSE);
  }

  @Override
  public void estimate(Queue queue, Estimate e) {
    CudaQueue own = (CudaQueue) queue;
    KvLayout layout = e.step().layer().layout();
    AttentionShape shape = e.shape();
    requireKernelsFor(layout);
    boolean beside = own.attends();
    Arguments a =
        struct(own, e.step(), e.selection(), 0, shape, e.query(), e.state(), ATTEND_REST, beside);
    own.launch(
        gpu.kernel("estimate_" + lanes(layout) / 4),
        splits(e.step().batch(), shape),
        shape.kvHeads() * Math.ceilDiv(shape.groupSize(), ATTEND_QUERIES),
        e.step().batch().rows(),
        ATTEND_WARPS * WARP,
        0,
        a.end(Structs.ATTEND));
    own.attending();
  }

  @Override
  public void hits(Queue queue, Attend h) {
    Pass of = h.of();
    part((CudaQueue) queue, of.step(), of, h.shape(), h.query(), h.state(), ATTEND_HITS);
  }

  @Override
  public void misses(Queue queue, Attend m) {
    Pass of = m.of();
    part((CudaQueue) queue, of.step(), of, m.shape(), m.query(), m.state(), ATTEND_MISSES);
  }

  private void part(
      CudaQueue queue,
      LayerStep step,
      @Nullable Pass pass,
      AttentionShape shape,
      Activations query,
      AttentionState state,
      int mode) {
    KvLayout layout = step.layer().layout();
    requireHead(layout);
    boolean codes = mode != ATTEND_DENSE && layout.formats().resident() == ChunkFormat.INT8;
    boolean floats = layout.type() == KvType.F32 && !codes;
    int queries = floats ? queriesOfBlock(shape) : ATTEND_QUERIES;
    int marks = mode == ATTEND_HITS ? bits(state.passChunks()) : 0;
    int staged = mode == ATTEND_DENSE || floats ? 0 : stagedBytes(step.layer(), codes);
    boolean stages = staged > 0 && staged + marks <= gpu.sharedBytesOfBlock() - LISTS_BYTES;
    String kernel =
        floats
            ? "attend_float_" + lanes(layout) + "_" + queries
            : (stages ? "staged_" : "attend_") + (codes ? "int8_" : "bf16_") + lanes(layout) / 4;
    Arguments a =
        struct(
            queue,
            step,
            pass == null ? null : pass.selection(),
            pass == null ? 0 : pass.pass(),
            shape,
            query,
            state,
            mode,
            mode == ATTEND_HITS && pass != null && pass.pass() == 0 && queue.attends());
    queue.launch(
        gpu.kernel(kernel),
        mode == ATTEND_DENSE ? 1 : splits(step.batch(), shape),
        shape.kvHeads() * Math.ceilDiv(shape.groupSize(), queries),
        step.batch().rows(),
        ATTEND_WARPS * WARP,
        (stages ? staged : 0) + marks,
        a.end(Structs.ATTEND));
    if (mode == ATTEND_DENSE) {
      queue.attending();
    }
  }

  /**
   * Shared memory in which the warps of a block have chunks copied, where these are whole pieces of
   * sixteen bytes; 0 where they are not.
   */
  private static int stagedBytes(KvLayer layer, boolean codes) {
    KvLayout layout = layer.layout();
    int width = layout.headDim();
    boolean fits =
        layout.grid().chunk() == STAGED_TOKENS
            && (width == 64 || width == 128)
            && CudaQueue.address(layer.window().chunks()) % PIECE == 0;
    int half = STAGED_TOKENS * width * (codes ? 1 : Short.BYTES) + (codes ? PIECE : 0);
    return fits ? ATTEND_WARPS * STAGES * 2 * 2 * half : 0;
  }

  @Override
  public void finish(Queue queue, Finish f) {
    CudaQueue own = (CudaQueue) queue;
    AttentionShape shape = f.shape();
    Arguments a = struct(own, f.step(), null, 0, shape, f.out(), f.state(), ATTEND_DENSE, false);
    own.launch(
        gpu.kernel("finish"),
        shape.kvHeads(),
        f.step().batch().rows(),
        1,
        FINISH_THREADS,
        4 * shape.groupSize() * (STATE_PARTS + 1),
        a.end(Structs.ATTEND));
  }

  private Arguments struct(
      CudaQueue queue,
      LayerStep step,
      @Nullable Selection selection,
      int pass,
      AttentionShape shape,
      Activations rows,
      AttentionState state,
      int mode,
      boolean beside) {
    Structs.Attend s = Structs.ATTEND;
    Arguments a = layer(queue.arguments(), s.layer, step.layer());
    batch(a, s.batch, step.batch());
    if (selection == null) {
      a.none(s.chosen);
    } else {
      chosen(a, s.chosen, selection);
    }
    return rows(a, s.rows, rows)
        .put(s.state, CudaQueue.address(state.buffer()))
        .put(s.heads, shape.heads())
        .put(s.splits, splits(step.batch(), shape))
        .put(s.pass, pass)
        .put(s.mode, mode)
        .put(s.beside, beside ? 1 : 0)
        .put(s.scale, shape.scale());
  }

  /**
   * Parts into which the chunks and the clusters of a (row, KV head) are split: no more blocks than
   * the GPU has room for at once, and the same for all calls of a step.
   */
  private int splits(StepBatch batch, AttentionShape shape) {
    int tiles = Math.ceilDiv(shape.groupSize(), ATTEND_QUERIES);
    int cells = batch.rows() * shape.kvHeads() * tiles;
    return Math.clamp(SPLIT_BLOCKS * gpu.multiprocessors() / cells, 1, (STATE_PARTS - 1) / 2);
  }

  /** Query heads that a block computes at a time without tensor cores. */
  private static int queriesOfBlock(AttentionShape shape) {
    int group = shape.groupSize();
    return group <= 2 ? group : group <= 4 ? 4 : 8;
  }

  private static int lanes(KvLayout layout) {
    return layout.headDim() <= 64 ? 8 : layout.headDim() <= 128 ? 16 : 32;
  }

  @Override
  public void causal(Queue queue, Causal c) {
    CudaQueue own = (CudaQueue) queue;
    KvLayout layout = c.layer().layout();
    AttentionShape shape = c.shape();
    requireHead(layout);
    boolean wide = wide(layout);
    Structs.Causal s = Structs.CAUSAL;
    Arguments a = layer(own.arguments(), s.layer, c.layer());
    long scratch = CudaQueue.address(c.scratch().buffer());
    rows(rows(a, s.query, c.query()), s.out, c.out())
        .put(s.scratch, scratch)
        .put(s.maxTokens, c.scratch().maxTokens())
        .put(s.heads, shape.heads())
        .put(s.start, c.start())
        .put(s.rows, c.rows())
        .put(s.scale, shape.scale());
    if (wide) {
      a.put(
          s.map,
          own.tensorMaps()
              .planes(
                  scratch,
                  layout.headDim(),
                  c.start() + c.rows(),
                  c.scratch().maxTokens(),
                  2 * shape.kvHeads(),
                  WIDE_KEYS));
      causalWide(own, c, a);
      return;
    }
    a.none(s.map);
    if (layout.type() == KvType.F32) {
      int shared =
          4
              * ((CAUSAL_QUERIES + CAUSAL_KEYS) * (layout.headDim() + 1)
                  + CAUSAL_QUERIES * (CAUSAL_KEYS + 1));
      own.launch(
          gpu.kernel("causal_float_" + lanes(layout)),
          Math.ceilDiv(c.rows(), CAUSAL_QUERIES),
          shape.heads(),
          1,
          CAUSAL_QUERIES * CAUSAL_LANES,
          shared,
          a.end(s));
      return;
    }
    int dim = tileDim(layout.headDim());
    int queries = 16 * TILE_WARPS * (dim == MAX_HEAD_DIM ? 1 : 2);
    own.launch(
        gpu.kernel("causal_bf16_" + dim),
        shape.heads(),
        Math.ceilDiv(c.rows(), queries),
        1,
        TILE_WARPS * WARP,
        2 * dim * (queries + 2 * TILE_KEYS),
        a.end(s));
  }

  /**
   * Whether there is a kernel with wide products: the same for all blocks of a prompt, whose
   * results would differ otherwise.
   */
  private boolean wide(KvLayout layout) {
    return gpu.capability() == WIDE_CAPABILITY
        && layout.type() == KvType.BF16
        && layout.headDim() <= 128
        && layout.headDim() % 8 == 0;
  }

  private void causalWide(CudaQueue queue, Causal c, Arguments a) {
    int dim = tileDim(c.shape().headDim());
    int groups = dim == 64 ? 3 : 2; // as many warpgroups as there are registers for
    int panels = Math.ceilDiv(dim, WIDE_PANEL);
    int rows = WIDE_ROWS * groups;
    int panelRows = rows + 2 * WIDE_STAGES * WIDE_KEYS;
    queue.launch(
        gpu.kernel("causal_wide_" + dim),
        c.shape().heads(),
        Math.ceilDiv(c.rows(), rows),
        1,
        4 * WARP * (groups + 1),
        1024 + 2 * WIDE_PANEL * panels * panelRows,
        a.end(Structs.CAUSAL));
  }

  /** Elements of a row of a tile: those of a head and zeros behind them. */
  private static int tileDim(int headDim) {
    return headDim <= 64 ? 64 : headDim <= 96 ? 96 : headDim <= 128 ? 128 : MAX_HEAD_DIM;
  }
}

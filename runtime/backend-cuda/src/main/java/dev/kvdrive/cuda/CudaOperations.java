package dev.kvdrive.cuda;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * The operations as kernel launches: each writes its kernel's struct and submits. Shapes are
 * checked before ({@code CheckedOperations}); what is checked here is what the kernels cannot do.
 *
 * <p>Grids depend on sizes that a recording fixes (rows, heads, the most chunks a seat can have),
 * never on what lies in device memory; blocks without work end at once.
 */
final class CudaOperations implements Operations {
  /** Elements of a head at most: 32 lanes with eight each. */
  static final int MAX_HEAD_DIM = 256;

  /** Tokens of a chunk that the kernels take at most. */
  private static final int MAX_CHUNK = 8;

  /** Rotated pairs of a head at most; pointwise.cuh has the same. */
  static final int MAX_PAIRS = 256;

  private static final int ROWS = 16;
  private static final int LAYER = 128;
  private static final int BATCH = 24;
  private static final int CHOSEN = 72;

  private static final int THREADS = 256;
  private static final int WARP = 32;
  private static final int SCORE_THREADS = 256;
  private static final int SCORE_TILE = 256;
  private static final int SCORE_QUERIES = 8;
  private static final int CHOOSE_THREADS = 1024;
  private static final int DIFF_THREADS = 512;
  private static final int ATTEND_THREADS = 128;
  private static final int CAUSAL_QUERIES = 32;
  private static final int CAUSAL_KEYS = 32;
  private static final int CAUSAL_LANES = 8;

  /** Parts of a (row, head) in the attention state: dense, hits, misses. */
  private static final int STATE_PARTS = 1 + Workspace.ATTENTION_SPLITS;

  /** Blocks that wait for the mailbox and copy what came. */
  private static final int LAND_BLOCKS = 16;

  /** Blocks of a fetch, where the batch has few (row, KV head): reading DRAM needs few. */
  private static final int FETCH_BLOCKS = 64;

  /** Blocks for each multiprocessor among which the hits of a step are split, or its misses. */
  private static final int SPLIT_BLOCKS = 4;

  private static final int DENSE = 0;
  private static final int HITS = 1;
  private static final int MISSES = 2;

  private final Gpu gpu;

  CudaOperations(Gpu gpu) {
    this.gpu = gpu;
  }

  // --- projections and pointwise work ---

  @Override
  public void embed(
      Queue queue, Weight table, DeviceBuffer tokens, float factor, int rows, Activations out) {
    CudaQueue own = (CudaQueue) queue;
    CudaWeight weight = (CudaWeight) table;
    Arguments a =
        own.arguments()
            .put(weight.memory().address())
            .put(CudaQueue.address(tokens))
            .put(own.trouble());
    rows(a, out).put(weight.rows()).put(weight.cols()).put(weight.elementBytes()).put(factor);
    own.launch(gpu.kernel("embed"), rows, 1, 1, THREADS, 0, a.end(40 + ROWS));
  }

  @Override
  public void rmsNorm(
      Queue queue,
      Activations in,
      Weight gain,
      float epsilon,
      int rows,
      int width,
      Activations out) {
    norm((CudaQueue) queue, in, (CudaWeight) gain, epsilon, rows, 1, width, out);
  }

  @Override
  public void headNorm(
      Queue queue, Activations x, Weight gain, float epsilon, int rows, int heads) {
    norm((CudaQueue) queue, x, (CudaWeight) gain, epsilon, rows, heads, gain.cols(), x);
  }

  private void norm(
      CudaQueue queue,
      Activations in,
      CudaWeight gain,
      float epsilon,
      int rows,
      int heads,
      int width,
      Activations out) {
    Arguments a = rows(rows(queue.arguments(), in), out);
    a.put(gain.memory().address()).put(width).put(epsilon);
    int threads = Math.clamp(Math.ceilDiv(width, 8 * WARP) * (long) WARP, WARP, 512);
    queue.launch(gpu.kernel("rmsNorm"), heads, rows, 1, threads, 0, a.end(2 * ROWS + 16));
  }

  @Override
  public void matmul(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    multiply((CudaQueue) queue, (CudaWeight) weight, in, rows, out, false, false);
  }

  @Override
  public void matmulAdd(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    multiply((CudaQueue) queue, (CudaWeight) weight, in, rows, out, false, true);
  }

  @Override
  public void logits(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    multiply((CudaQueue) queue, (CudaWeight) weight, in, rows, out, true, false);
  }

  private void multiply(
      CudaQueue queue,
      CudaWeight weight,
      Activations in,
      int rows,
      Activations out,
      boolean outF32,
      boolean add) {
    int outBytes = outF32 ? Float.BYTES : Short.BYTES;
    long from = address(in, Short.BYTES);
    long to = address(out, outBytes);
    if (weight.rows() > 1) {
      var shape =
          new Cublas.Shape(
              weight.rows(),
              weight.cols(),
              rows,
              in.stride(),
              out.stride(),
              outF32,
              Cublas.alignment(from),
              Cublas.alignment(to));
      long workspace = queue.workspace(Cublas.WORKSPACE_BYTES);
      if (gpu.cublas()
          .multiply(
              shape,
              add,
              weight.memory().address(),
              from,
              to,
              workspace,
              queue.stream().handle())) {
        queue.submitted();
        return;
      }
    }
    Arguments a = queue.arguments().put(weight.memory().address());
    rows(a, in)
        .put(to)
        .put((long) out.stride())
        .put(weight.elementBytes())
        .put(outBytes)
        .put(weight.rows())
        .put(weight.cols())
        .put(add ? 1 : 0)
        .put(0);
    int blocks = Math.ceilDiv(weight.rows(), THREADS / WARP);
    queue.launch(gpu.kernel("multiply"), blocks, rows, 1, THREADS, 0, a.end(48 + ROWS));
  }

  @Override
  public void addBias(Queue queue, Weight bias, Activations x, int rows) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = rows(own.arguments(), x);
    a.put(((CudaWeight) bias).memory().address()).put(bias.cols()).put(0);
    int blocks = Math.ceilDiv(bias.cols(), THREADS);
    own.launch(gpu.kernel("addBias"), blocks, rows, 1, THREADS, 0, a.end(ROWS + 16));
  }

  @Override
  public void add(Queue queue, Activations x, int rows, int width, Activations out) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = rows(rows(own.arguments(), x), out).put(width).put(0);
    int blocks = Math.ceilDiv(width, THREADS);
    own.launch(gpu.kernel("add"), blocks, rows, 1, THREADS, 0, a.end(2 * ROWS + 8));
  }

  @Override
  public void angles(
      Queue queue, RopeSpec spec, DeviceBuffer positions, int rows, DeviceBuffer out) {
    float[] frequencies = spec.inverseFrequencies();
    requireAtMost("rotated pairs", frequencies.length, MAX_PAIRS);
    CudaQueue own = (CudaQueue) queue;
    Arguments a =
        own.arguments()
            .put(CudaQueue.address(positions))
            .put(CudaQueue.address(out))
            .put(frequencies.length)
            .put(spec.magnitude());
    RopeSpec.Growth growth = spec.growth();
    a.put(growth == null ? 0f : growth.beta()).put(growth == null ? 1 : growth.period());
    for (int i = 0; i < MAX_PAIRS; i++) {
      a.put(i < frequencies.length ? frequencies[i] : 0f);
    }
    int threads = Math.ceilDiv(frequencies.length, WARP) * WARP;
    own.launch(gpu.kernel("angles"), rows, 1, 1, threads, 0, a.end(32 + 4 * MAX_PAIRS));
  }

  @Override
  public void rotate(
      Queue queue,
      RopeSpec spec,
      DeviceBuffer angles,
      Activations x,
      int rows,
      int heads,
      int headDim) {
    CudaQueue own = (CudaQueue) queue;
    int pairs = spec.inverseFrequencies().length;
    Arguments a = rows(own.arguments(), x);
    a.put(CudaQueue.address(angles))
        .put(heads)
        .put(headDim)
        .put(pairs)
        .put(spec.interleaved() ? 1 : 0);
    int blocks = Math.ceilDiv(heads * pairs, THREADS);
    own.launch(gpu.kernel("rotate"), blocks, rows, 1, THREADS, 0, a.end(ROWS + 24));
  }

  @Override
  public void siluMultiply(
      Queue queue, Activations gate, Activations up, int rows, int width, Activations out) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = rows(rows(rows(own.arguments(), gate), up), out).put(width).put(0);
    int blocks = Math.ceilDiv(width, 8 * THREADS);
    own.launch(gpu.kernel("siluMultiply"), blocks, rows, 1, THREADS, 0, a.end(3 * ROWS + 8));
  }

  @Override
  public void argmax(Queue queue, Activations logits, int rows, int width, DeviceBuffer out) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a =
        own.arguments()
            .put(address(logits, Float.BYTES))
            .put((long) logits.stride())
            .put(CudaQueue.address(out))
            .put(width)
            .put(0);
    own.launch(gpu.kernel("argmax"), rows, 1, 1, 1024, 0, a.end(32));
  }

  // --- decode ---

  @Override
  public void append(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      FramePool frames,
      Activations keys,
      Activations values) {
    CudaQueue own = (CudaQueue) queue;
    requireKernelsFor(layer.layout());
    Arguments a = rows(rows(batch(layer(own.arguments(), layer), batch), keys), values);
    a.put(address(frames.memory())).put(own.trouble()).put(frames.frames()).put(0);
    own.launch(
        gpu.kernel("append"),
        layer.layout().kvHeads(),
        batch.rows(),
        1,
        ATTEND_THREADS,
        0,
        a.end(LAYER + BATCH + 2 * ROWS + 24));
  }

  @Override
  public void select(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection) {
    CudaQueue own = (CudaQueue) queue;
    requireKernelsFor(layer.layout());
    int words = layer.layout().codeBytes() / Integer.BYTES;
    String kernel = "score_" + (words <= 4 ? 1 : words <= 8 ? 2 : 4);
    int parts = Math.ceilDiv(shape.groupSize(), SCORE_QUERIES);
    int tiles = Math.ceilDiv(layer.maxChunks(), SCORE_TILE);
    // As many rows at a time as have room for their raw scores.
    long rowBytes = 4L * shape.heads() * selection.maxChunks();
    long raw = own.workspace(Math.max(rowBytes, Cublas.WORKSPACE_BYTES));
    int some = Math.clamp(Cublas.WORKSPACE_BYTES / rowBytes, 1, batch.rows());
    for (int first = 0; first < batch.rows(); first += some) {
      int rows = Math.min(some, batch.rows() - first);
      Arguments a =
          rows(chosen(batch(layer(own.arguments(), layer), batch), selection), query)
              .put(raw)
              .put(shape.heads())
              .put(shape.scale())
              .put(first)
              .put(0);
      var struct = a.end(LAYER + BATCH + CHOSEN + ROWS + 24);
      own.launch(
          gpu.kernel(kernel), tiles, shape.kvHeads() * parts, rows, SCORE_THREADS, 0, struct);
      own.launch(gpu.kernel("choose"), shape.kvHeads(), rows, 1, CHOOSE_THREADS, 0, struct);
    }
  }

  @Override
  public void diff(Queue queue, StepBatch batch, KvLayer layer, Selection selection, int pass) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = chosen(batch(layer(own.arguments(), layer), batch), selection).put(pass).put(0);
    int slots = 0;
    for (int window : layer.windowSlots()) {
      slots = Math.max(slots, window);
    }
    own.launch(
        gpu.kernel("diff"),
        layer.layout().kvHeads(),
        batch.rows(),
        1,
        DIFF_THREADS,
        bits(slots),
        a.end(LAYER + BATCH + CHOSEN + 8));
  }

  @Override
  public void fetch(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      FramePool frames,
      Mailbox mailbox) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a =
        mail(own.arguments(), batch, layer, selection, pass, address(frames.memory()), mailbox, 0);
    int cells = batch.rows() * layer.layout().kvHeads();
    own.launch(
        gpu.kernel("fetch"),
        Math.ceilDiv(FETCH_BLOCKS, cells),
        layer.layout().kvHeads(),
        batch.rows(),
        THREADS,
        0,
        a.end(LAYER + BATCH + CHOSEN + 40));
  }

  @Override
  public void land(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      Mailbox mailbox,
      int timeoutMillis) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = mail(own.arguments(), batch, layer, selection, pass, 0, mailbox, timeoutMillis);
    own.launch(
        gpu.kernel("land"), LAND_BLOCKS, 1, 1, THREADS, 0, a.end(LAYER + BATCH + CHOSEN + 40));
  }

  private static Arguments mail(
      Arguments a,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      long frames,
      Mailbox mailbox,
      int timeoutMillis) {
    CudaHostBuffer control = (CudaHostBuffer) mailbox.control();
    return chosen(batch(layer(a, layer), batch), selection)
        .put(frames)
        .put(control.address())
        .put(address(mailbox.transit()))
        .put(control.round())
        .put(pass)
        .put(timeoutMillis);
  }

  @Override
  public void beginAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      AttentionState state) {
    attend((CudaQueue) queue, batch, layer, shape, query, null, 0, state, DENSE);
  }

  @Override
  public void attendHits(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state) {
    attend((CudaQueue) queue, batch, layer, shape, query, selection, pass, state, HITS);
  }

  @Override
  public void attendMisses(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state) {
    attend((CudaQueue) queue, batch, layer, shape, query, selection, pass, state, MISSES);
  }

  private void attend(
      CudaQueue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      @Nullable Selection selection,
      int pass,
      AttentionState state,
      int mode) {
    int queries = queriesOfBlock(shape);
    int splits = splits(batch, shape);
    Arguments a =
        attention(queue.arguments(), batch, layer, shape, selection, query, pass, state, mode);
    queue.launch(
        gpu.kernel("attend" + variant(layer.layout()) + "_" + queries),
        mode == DENSE ? 1 : splits,
        shape.kvHeads() * Math.ceilDiv(shape.groupSize(), queries),
        batch.rows(),
        ATTEND_THREADS,
        mode == HITS ? bits(state.passChunks()) : 0,
        a.end(LAYER + BATCH + CHOSEN + ROWS + 40));
  }

  @Override
  public void finishAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Selection selection,
      AttentionState state,
      Activations out) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = attention(own.arguments(), batch, layer, shape, selection, out, 0, state, DENSE);
    own.launch(
        gpu.kernel("finish"),
        shape.kvHeads(),
        batch.rows(),
        1,
        THREADS,
        4 * shape.groupSize() * (STATE_PARTS + 2),
        a.end(LAYER + BATCH + CHOSEN + ROWS + 40));
  }

  private Arguments attention(
      Arguments a,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      @Nullable Selection selection,
      Activations rows,
      int pass,
      AttentionState state,
      int mode) {
    batch(layer(a, layer), batch);
    if (selection == null) {
      for (int i = 0; i < CHOSEN / 8; i++) {
        a.put(0L);
      }
    } else {
      chosen(a, selection);
    }
    long memory = CudaQueue.address(state.buffer());
    long parts = (long) state.maxRows() * shape.heads() * STATE_PARTS * (2 + shape.headDim());
    return rows(a, rows)
        .put(memory)
        .put(memory + Float.BYTES * parts)
        .put(shape.heads())
        .put(splits(batch, shape))
        .put(state.passChunks())
        .put(pass)
        .put(mode)
        .put(shape.scale());
  }

  /**
   * Parts into which the hits, and the misses, of a (row, KV head) are split: enough blocks for the
   * GPU, and the same for all calls of a step.
   */
  private int splits(StepBatch batch, AttentionShape shape) {
    int tiles = Math.ceilDiv(shape.groupSize(), queriesOfBlock(shape));
    int cells = batch.rows() * shape.kvHeads() * tiles;
    return Math.clamp(
        Math.ceilDiv(SPLIT_BLOCKS * gpu.multiprocessors(), cells), 1, (STATE_PARTS - 1) / 2);
  }

  /** Query heads that a block computes at a time. */
  private static int queriesOfBlock(AttentionShape shape) {
    int group = shape.groupSize();
    return group <= 2 ? group : group <= 4 ? 4 : 8;
  }

  /** The part of a kernel's name that tells element type and lanes of a row. */
  private static String variant(KvLayout layout) {
    requireAtMost("elements of a head", layout.headDim(), MAX_HEAD_DIM);
    int lanes = layout.headDim() <= 64 ? 8 : layout.headDim() <= 128 ? 16 : 32;
    return "_" + element(layout) + "_" + lanes;
  }

  private static String element(KvLayout layout) {
    return layout.type() == KvType.F32 ? "float" : "bf16";
  }

  /** Bytes of a bit for each of {@code count}, in words. */
  private static int bits(int count) {
    return 4 * Math.ceilDiv(count, 32);
  }

  // --- prefill ---

  @Override
  public void store(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int start,
      int rows,
      Activations keys,
      Activations values) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = rows(rows(layer(own.arguments(), layer), keys), values);
    scratch(a, own, scratch, 0, start, 0, 0);
    own.launch(
        gpu.kernel("store"),
        layer.layout().kvHeads(),
        rows,
        1,
        ATTEND_THREADS,
        0,
        a.end(LAYER + 2 * ROWS + 40));
  }

  @Override
  public void attendCausal(
      Queue queue,
      KvLayer layer,
      AttentionShape shape,
      PrefillScratch scratch,
      Activations query,
      int start,
      int rows,
      Activations out) {
    CudaQueue own = (CudaQueue) queue;
    KvLayout layout = layer.layout();
    requireAtMost("elements of a head", layout.headDim(), MAX_HEAD_DIM);
    Arguments a = rows(rows(layer(own.arguments(), layer), query), out);
    a.put(CudaQueue.address(scratch.buffer()))
        .put(scratch.maxTokens())
        .put(shape.heads())
        .put(start)
        .put(rows)
        .put(shape.scale())
        .put(0);
    int pieces = layout.headDim() <= 64 ? 8 : layout.headDim() <= 128 ? 16 : 32;
    int shared =
        4
            * ((CAUSAL_QUERIES + CAUSAL_KEYS) * (layout.headDim() + 1)
                + CAUSAL_QUERIES * (CAUSAL_KEYS + 1));
    own.launch(
        gpu.kernel("causal_" + element(layout) + "_" + pieces),
        Math.ceilDiv(rows, CAUSAL_QUERIES),
        shape.heads(),
        1,
        CAUSAL_QUERIES * CAUSAL_LANES,
        shared,
        a.end(LAYER + 2 * ROWS + 32));
  }

  @Override
  public void closeChunks(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int seat,
      int fromChunk,
      int toChunk,
      FramePool frames) {
    if (toChunk == fromChunk) {
      return;
    }
    requireKernelsFor(layer.layout());
    CudaQueue own = (CudaQueue) queue;
    Arguments a = none(none(layer(own.arguments(), layer)));
    scratch(a, own, scratch, address(frames.memory()), fromChunk, seat, frames.frames());
    own.launch(
        gpu.kernel("closeChunks"),
        toChunk - fromChunk,
        layer.layout().kvHeads(),
        1,
        ATTEND_THREADS,
        0,
        a.end(LAYER + 2 * ROWS + 40));
  }

  @Override
  public void seed(Queue queue, KvLayer layer, PrefillScratch scratch, int seat, int tokens) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = none(none(layer(own.arguments(), layer)));
    scratch(a, own, scratch, 0, tokens, seat, 0);
    own.launch(
        gpu.kernel("seed"),
        layer.layout().grid().denseTokens(),
        layer.layout().kvHeads(),
        1,
        WARP,
        0,
        a.end(LAYER + 2 * ROWS + 40));
  }

  private static void scratch(
      Arguments a,
      CudaQueue queue,
      PrefillScratch scratch,
      long frames,
      int start,
      int seat,
      int frameCount) {
    a.put(CudaQueue.address(scratch.buffer()))
        .put(frames)
        .put(queue.trouble())
        .put(scratch.maxTokens())
        .put(start)
        .put(seat)
        .put(frameCount);
  }

  @Override
  public void resetSeat(Queue queue, KvLayer layer, int seat) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = layer(own.arguments(), layer).put(seat).put(0);
    long words = Math.max(layer.totalSlots(), (long) layer.layout().kvHeads() * layer.maxChunks());
    int blocks = (int) Math.clamp(Math.ceilDiv(words, THREADS), 1, 4L * gpu.multiprocessors());
    own.launch(gpu.kernel("resetSeat"), blocks, 1, 1, THREADS, 0, a.end(LAYER + 8));
  }

  // --- structs ---

  private static Arguments rows(Arguments a, Activations view) {
    return a.put(address(view, ElementType.BF16.bytes())).put((long) view.stride());
  }

  private static Arguments none(Arguments a) {
    return a.put(0L).put(0L);
  }

  private static Arguments layer(Arguments a, KvLayer layer) {
    KvLayout layout = layer.layout();
    ChunkGrid grid = layout.grid();
    return a.put(CudaQueue.address(layer.dense()))
        .put(CudaQueue.address(layer.representatives()))
        .put(CudaQueue.address(layer.window()))
        .put(CudaQueue.address(layer.slotBase()))
        .put(CudaQueue.address(layer.slotOfChunk()))
        .put(CudaQueue.address(layer.chunkOfSlot()))
        .put(CudaQueue.address(layer.attentionOfSlot()))
        .put(CudaQueue.address(layer.frameOfExtent()))
        .put(CudaQueue.address(layer.lastUse()))
        .put((long) layout.extentBytes())
        .put(layer.layer())
        .put(layout.kvHeads())
        .put(layout.headDim())
        .put(layout.type().bytes())
        .put(layer.maxChunks())
        .put(layer.maxExtents())
        .put(layer.totalSlots())
        .put(grid.sink())
        .put(grid.local())
        .put(grid.chunk())
        .put(layout.extentChunks())
        .put(0);
  }

  private static Arguments batch(Arguments a, StepBatch batch) {
    return a.put(CudaQueue.address(batch.positions()))
        .put(CudaQueue.address(batch.seats()))
        .put(CudaQueue.address(batch.selectCounts()));
  }

  private static Arguments chosen(Arguments a, Selection selection) {
    return a.put(CudaQueue.address(selection.scores()))
        .put(CudaQueue.address(selection.selected()))
        .put(CudaQueue.address(selection.selectedCount()))
        .put(CudaQueue.address(selection.slots()))
        .put(CudaQueue.address(selection.misses()))
        .put(CudaQueue.address(selection.missCount()))
        .put(CudaQueue.address(selection.counters()))
        .put(selection.maxRows())
        .put(selection.maxChunks())
        .put(selection.maxSelected())
        .put(selection.passChunks());
  }

  private static long address(Activations view, int elementBytes) {
    return CudaQueue.address(view.buffer()) + (long) elementBytes * view.offset();
  }

  private static long address(HostBuffer buffer) {
    return ((CudaHostBuffer) buffer).address();
  }

  private static void requireKernelsFor(KvLayout layout) {
    requireAtMost("elements of a head", layout.headDim(), MAX_HEAD_DIM);
    requireAtMost("tokens of a chunk", layout.grid().chunk(), MAX_CHUNK);
  }

  private static void requireAtMost(String what, int count, int most) {
    if (count > most) {
      throw new IllegalArgumentException(
          "%d %s, but the CUDA kernels take %d at most".formatted(count, what, most));
    }
  }
}

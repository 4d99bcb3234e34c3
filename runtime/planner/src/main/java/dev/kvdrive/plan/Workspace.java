package dev.kvdrive.plan;

/**
 * Sizes of everything besides weights, chunks and index that planner, engine and backends must
 * agree on. The planner adds them up; engine and stores allocate exactly these.
 */
public final class Workspace {
  /** Parts that a backend may split one row's attention into. */
  public static final int ATTENTION_SPLITS = 64;

  /** Extents in flight between DRAM and NVMe at most: aligned buffers of the NVMe tier. */
  public static final int IO_BUFFERS = 16;

  /** Tokens at the end of a prompt that windows are filled by at most. */
  public static final int MOST_WARM_UP_TOKENS = 256;

  /** Counters of a row of a step ({@code dev.kvdrive.device.Selection}). */
  public static final int COUNTERS = 5;

  /** Classes of the ages at which chunks are selected again. */
  public static final int REUSE_CLASSES = 24;

  /** Host buffers of an engine at most: frames, mailbox, staging, step parameters and results. */
  static final int HOST_BUFFERS = 15;

  /** Pieces of host memory from which changed frames of extents are uploaded, in turn. */
  public static final int CHANGE_PIECES = 4;

  /** Changed frames of extents that are uploaded at once at most. */
  private static final int MOST_CHANGES = 8192;

  /** Tokens of a prompt that is prefilled beside a longer one at most. */
  public static final int MAX_SHORT_PROMPT = 4096;

  /** Share of the context that prompts in prefill may have beyond a whole context. */
  private static final int SHARED_PREFILL_PART = 4;

  /** Micro-batches of the attention of a decode step at most. */
  public static final int MOST_MICRO_BATCHES = 4;

  /** Arrays of rows that say who is in which micro-batch of two or of four. */
  public static final int MICRO_BATCH_ARRAYS = 2 + MOST_MICRO_BATCHES;

  /** What says how the token of a row is chosen. */
  public static final int SAMPLING_BYTES = 32;

  /** What a queue of a GPU that computes has for matrix products and scores, if that is enough. */
  public static final long QUEUE_BYTES = 32 * ByteSize.MIB;

  /** A place for a piece of a packed matrix in bf16, where there are such. */
  public static final long WIDENED_BYTES = 64 * ByteSize.MIB;

  /** Queues that compute. */
  private static final int QUEUES = 2;

  /** Recorded steps that are kept at most; what one and each of its nodes takes. */
  public static final int MOST_GRAPHS = 64;

  private static final long GRAPH_BYTES = 64 << 10;
  private static final long NODE_BYTES = 1 << 10;

  /** Nodes of a layer of a step at most, with as many micro-batches as there can be. */
  private static final int LAYER_NODES = 48;

  private Workspace() {}

  /**
   * Bytes of its memory that a device takes beside what is allocated through it: its context, what
   * its queues compute in, and recorded steps; 0 for a device that takes nothing.
   */
  public static long deviceBytes(DeviceKind device, ModelGeometry model, int maxChunks) {
    if (device.contextBytes() == 0) {
      return 0;
    }
    // Scores of one row, and a share of each tile; what is too small for them stays beside.
    long scores = 5L * model.heads() * maxChunks + ByteSize.MIB;
    long widened = model.packed().none() ? 0 : WIDENED_BYTES;
    long queue = QUEUE_BYTES + (scores > QUEUE_BYTES ? scores : 0);
    return device.contextBytes()
        + QUEUES * queue
        + widened
        + MOST_GRAPHS * (GRAPH_BYTES + (long) model.layers() * LAYER_NODES * NODE_BYTES);
  }

  /**
   * Bytes of the running attention state of a decode step: per (row, query head) maximum, sum and
   * {@code headDim} weighted values, once merged and once for each split, and one F32 score for
   * each token of a pass.
   */
  public static long attentionBytes(ModelGeometry model, ChunkGrid grid, int rows, int passChunks) {
    long perHead =
        4L * (2 + model.headDim()) * (1 + ATTENTION_SPLITS) + 4L * passChunks * grid.chunk();
    return rows * (long) model.heads() * perHead;
  }

  /**
   * Bytes of the activations of {@code rows} rows: residual and normed {@code [hidden]}, the
   * stacked q, k and v, the attention output, the stacked gate and up, and F32 angles.
   */
  public static long activationBytes(ModelGeometry model, int rows, int activationBytes) {
    long width =
        2L * model.hidden()
            + (model.heads() + 2L * model.kvHeads()) * model.headDim()
            + (long) model.heads() * model.headDim()
            + 2L * model.feedForward();
    return rows * (width * activationBytes + 4L * model.headDim());
  }

  /** Bytes of the F32 logits of {@code rows} rows. */
  public static long logitsBytes(ModelGeometry model, int rows) {
    return 4L * rows * model.vocabulary();
  }

  /**
   * Bytes of selection and diff ({@code dev.kvdrive.device.Selection}) and of the step's
   * parameters.
   */
  public static long selectionBytes(
      ModelGeometry model, int rows, int maxChunks, int mostSelected, int passChunks) {
    long perHead = 4L * maxChunks + 4L * mostSelected + 8L * passChunks + 8;
    // Counters of the step and of what is prefetched, parameters of both, those of a warm-up.
    return rows
            * (model.kvHeads() * perHead
                + 2 * 4L * COUNTERS
                + (9L + MICRO_BATCH_ARRAYS) * 4
                + 2 * SAMPLING_BYTES)
        + 4L * 4;
  }

  /**
   * Bytes of the maps of all layers: slot of chunk, chunk, key and table of slots, what is
   * prefetched, frame and last use of extent and changes on their way to them, and the windows of
   * the seats.
   */
  public static long mapBytes(
      KvLayout layout, int seats, int maxChunks, int windowSlots, WindowOptions windows) {
    long perHead =
        4L * maxChunks + slotMapBytes(windows) * windowSlots + 8L * layout.extents(maxChunks);
    long kept = 4L * seats * layout.kvHeads();
    return kept
        + changeBytes(layout, seats, maxChunks)
        + layout.layers()
            * (long) seats
            * (layout.kvHeads() * perHead + 4L * (layout.kvHeads() + 1));
  }

  /** Changed frames of extents that are uploaded at once. */
  public static int changes(KvLayout layout, int seats, int maxChunks) {
    long extents = (long) layout.layers() * seats * layout.kvHeads() * layout.extents(maxChunks);
    return Math.clamp(extents, 1, MOST_CHANGES);
  }

  /** Bytes of {@link #changes}: an index and a frame each. */
  public static long changeBytes(KvLayout layout, int seats, int maxChunks) {
    return 8L * changes(layout, seats, maxChunks);
  }

  /** Bytes of the maps that a slot of a window has an entry in. */
  static long slotMapBytes(WindowOptions windows) {
    return windows.prefetch() ? 20 : 16;
  }

  /**
   * Host bytes of the tables of the windows on their way to the device, and of the reuse of one
   * seat on its way from it.
   */
  public static long windowStagingBytes(EngineSizes sizes) {
    return windowStagingBytes(sizes.layout(), sizes.concurrency(), sizes.windowSlots());
  }

  static long windowStagingBytes(KvLayout layout, int seats, int windowSlots) {
    long heads = layout.kvHeads();
    long windows = layout.layers() * heads;
    return 4
        * (seats * heads
            + layout.layers() * (long) seats * (heads + 1)
            + seats * windows * windowSlots
            + windows * REUSE_CLASSES);
  }

  /**
   * Bytes in device memory of what is known of the reuse of chunks, where windows are divided by
   * it.
   *
   * @param heads (seat, layer, KV head) combinations
   */
  static long reuseBytes(long heads, int maxChunks) {
    return 4 * heads * (maxChunks + REUSE_CLASSES);
  }

  /** Host bytes of the parameters of a warm-up of windows by so many tokens. */
  public static long warmUpBytes(int tokens) {
    return 4L * 4 * tokens;
  }

  /**
   * Host bytes of what the accuracy of one (row, layer, KV head) of a step is computed of: sink and
   * ring, queries and outputs of a group, the selection.
   */
  public static long meterBytes(EngineSizes sizes) {
    return meterBytes(
        sizes.geometry(), sizes.layout(), sizes.activationBytes(), sizes.mostSelected());
  }

  static long meterBytes(
      ModelGeometry model, KvLayout layout, int activationBytes, int mostSelected) {
    long group = (long) model.heads() / model.kvHeads() * model.headDim();
    long dense = 2L * layout.grid().denseTokens() * layout.rowBytes();
    return dense + 2 * group * activationBytes + 8 + 4L * mostSelected;
  }

  /** Host bytes of what an observer of selections is shown, which no plan counts. */
  public static long observerBytes(EngineSizes sizes) {
    long cells = (long) sizes.concurrency() * sizes.layout().kvHeads();
    return 4 * cells * (sizes.mostSelected() + 1L + sizes.maxChunks());
  }

  /** Bytes of the keys and values of one layer of one prompt ({@code PrefillScratch}). */
  public static long prefillScratchBytes(KvLayout layout, long tokens) {
    return 2L * layout.kvHeads() * layout.rowBytes() * tokens;
  }

  /** {@code EngineSizes.shortPrompt}: what it costs in device memory stays small at any context. */
  public static int shortPrompt(int context, int seats) {
    return seats == 1 ? 0 : Math.min(MAX_SHORT_PROMPT, sharedPrefill(context));
  }

  /**
   * {@code EngineSizes.residualBlocks}: of a prompt as long as the context, and beside it of
   * prompts with a quarter of that.
   */
  public static int residualBlocks(int context, int seats, int prefillBlock) {
    int shared = seats == 1 ? 0 : Math.ceilDiv(sharedPrefill(context), prefillBlock);
    return Math.ceilDiv(context, prefillBlock) + shared;
  }

  /**
   * Blocks in which a prompt is computed.
   *
   * @param reused tokens of it whose keys and values are there already, sink included, of which the
   *     sink is computed in a block of its own; 0 for none
   */
  public static int promptBlocks(int prompt, int reused, int prefillBlock) {
    return reused == 0
        ? Math.ceilDiv(prompt, prefillBlock)
        : 1 + Math.ceilDiv(prompt - reused, prefillBlock);
  }

  /** Whether it saves something to reuse so many tokens of a prompt. */
  public static boolean reuses(int prompt, int tokens, int prefillBlock) {
    return tokens > 0
        && promptBlocks(prompt, tokens, prefillBlock) <= promptBlocks(prompt, 0, prefillBlock);
  }

  private static int sharedPrefill(int context) {
    return Math.ceilDiv(context, SHARED_PREFILL_PART);
  }

  /** Bytes of the tokens and positions of a prefill block. */
  public static long blockBytes(int prefillBlock) {
    return 2L * 4 * prefillBlock;
  }

  /** Host bytes of the residual streams of the prompts in prefill between layers. */
  public static long residualBytes(
      ModelGeometry model, int residualBlocks, int prefillBlock, int activationBytes) {
    return (long) residualBlocks * prefillBlock * model.hidden() * activationBytes;
  }

  /** Device bytes of the blocks of residual streams that come and leave beside the computation. */
  public static long residualStagingBytes(
      ModelGeometry model, int prefillBlock, int activationBytes) {
    return 2L * prefillBlock * model.hidden() * activationBytes;
  }

  /** Host bytes of the mailbox: its control words and one transit chunk for each request. */
  public static long mailboxBytes(KvLayout layout, int capacity) {
    return 4L * (32 + 6L * capacity) + (long) capacity * layout.backing().bytes();
  }

  /** Host bytes that are lost at most because every buffer takes whole pages. */
  public static long hostRoundingBytes() {
    return (long) HOST_BUFFERS * (DeviceKind.HOST_PAGE - 1);
  }

  /** Aligned buffers of the NVMe tier: one for each extent in flight, hardly any without NVMe. */
  static int ioBuffers(boolean nvme) {
    return nvme ? IO_BUFFERS : 1;
  }

  /**
   * Host bytes of a step's parameters and results (with the logits) and of the host's copy of the
   * maps that it keeps of the tiers.
   */
  public static long hostStepBytes(ModelGeometry model, KvLayout layout, int rows, int maxChunks) {
    long lastUses = 4L * rows * layout.layers() * layout.kvHeads() * layout.extents(maxChunks);
    return logitsBytes(model, rows)
        + (100L + 4 * MICRO_BATCH_ARRAYS + SAMPLING_BYTES) * rows
        + warmUpBytes(MOST_WARM_UP_TOKENS)
        + lastUses
        + CHANGE_PIECES * changeBytes(layout, rows, maxChunks);
  }

  /**
   * Frames the engine cannot do without: the open extent of each (seat, layer, KV head), which
   * stays in DRAM, what two prefill blocks of a layer close, and what is in flight.
   */
  public static int minimumFrames(KvLayout layout, int seats, int prefillBlock) {
    int blockExtents =
        layout.kvHeads()
            * (Math.ceilDiv(prefillBlock, layout.grid().chunk() * layout.extentChunks()) + 1);
    long frames =
        (long) seats * layout.layers() * layout.kvHeads() + 2L * blockExtents + IO_BUFFERS;
    // More do not fit any machine.
    return (int) Math.min(frames, Integer.MAX_VALUE);
  }
}

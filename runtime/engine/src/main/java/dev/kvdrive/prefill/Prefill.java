package dev.kvdrive.prefill;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.transformer.ActivationBuffers;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Prefill of one prompt at a time, layer-major: all blocks of a layer, then the next layer. Dense
 * causal attention needs only the keys and values of the current layer in device memory; the
 * residual stream of the whole prompt waits in pinned host memory between layers, block in, block
 * out.
 *
 * <pre>
 *   for each layer, for each block:
 *     residual in (layer 0: embed) -> project -> store
 *       -> close chunks: to DRAM frames, from where the store moves them on while we compute
 *       -> causal attention -> output projection -> MLP -> residual out
 *   end of layer: sink and ring to the seat
 *   last layer: all of the prompt's keys and values, but attention, MLP and logits of the last token
 *   only
 * </pre>
 *
 * The unit of scheduling is a <i>quantum</i>, one block of one layer ({@link #advance}); decode
 * steps may run between quanta. Used on the engine thread.
 */
public final class Prefill implements AutoCloseable {
  private final Operations operations;
  private final Queue queue;
  private final Transformer transformer;
  private final KvState kv;
  private final TieredStore store;
  private final StepOutput output;
  private final EngineSizes sizes;
  private final long rowBytes;
  private final HostBuffer residual;
  private final HostBuffer block;
  private final DeviceBuffer tokens;
  private final DeviceBuffer positions;

  /** What gives back its own memory, the last made first. */
  private final Deque<Runnable> owned = new ArrayDeque<>();

  private final List<Target> targets = new ArrayList<>();
  private int[] prompt = {};
  private boolean wantsLogits;
  private int layer;
  private int start;

  /** A seat that gets the prompt's keys and values, and how many chunks of the layer it has. */
  private static final class Target {
    private final int seat;
    private int closed;

    Target(int seat) {
      this.seat = seat;
    }
  }

  /**
   * @param queue the queue of all computation, which stays the caller's
   * @param output where the logits of the last token go, as row 0
   * @throws dev.kvdrive.device.DeviceMemoryException if its memory does not fit; nothing stays
   *     allocated
   */
  public Prefill(
      Device device,
      Queue queue,
      Transformer transformer,
      KvState kv,
      TieredStore store,
      StepOutput output,
      EngineSizes sizes) {
    this.operations = device.operations();
    this.queue = queue;
    this.transformer = transformer;
    this.kv = kv;
    this.store = store;
    this.output = output;
    this.sizes = sizes;
    rowBytes = (long) transformer.spec().hidden() * device.activationType().bytes();
    long blockBytes = 4L * sizes.prefillBlock();
    try {
      residual =
          device.allocateHost("residual stream of a prompt", rowBytes * sizes.contextLength());
      owned.push(residual::close);
      block = device.allocateHost("tokens and positions of a block", 2 * blockBytes);
      owned.push(block::close);
      tokens = device.allocate("tokens of a block", blockBytes);
      owned.push(tokens::close);
      positions = device.allocate("positions of a block", blockBytes);
      owned.push(positions::close);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /**
   * Starts a prompt; one that was not finished is forgotten.
   *
   * @param prompt its tokens, at most {@code contextLength}; not changed by the caller
   * @param seats open seats: sequences that go on from this prompt, computed once for all of them
   * @param logits whether the host wants to see the logits of the last token
   */
  public void begin(int[] prompt, List<Integer> seats, boolean logits) {
    this.prompt = prompt;
    wantsLogits = logits;
    layer = 0;
    start = 0;
    targets.clear();
    for (int seat : seats) {
      targets.add(new Target(seat));
      kv.reset(queue, operations, seat);
    }
  }

  /** A sequence has left its seat: nothing more is written for it. */
  public void withdraw(int seat) {
    targets.removeIf(target -> target.seat == seat);
  }

  /** Units of work done: tokens times layers. */
  public long done() {
    return (long) layer * prompt.length + start;
  }

  /** Units of work of the prompt. */
  public long total() {
    return (long) prompt.length * kv.layers().size();
  }

  /**
   * Runs one quantum and waits for it.
   *
   * @return whether the prompt is finished: row 0 of the output then belongs to its last token
   * @throws dev.kvdrive.kv.tier.TierException if the chunks of a seat have no room; after {@link
   *     #withdraw} of that seat the same quantum can be run again
   */
  public boolean advance() {
    int rows = Math.min(sizes.prefillBlock(), prompt.length - start);
    boolean lastLayer = layer == kv.layers().size() - 1;
    boolean lastBlock = start + rows == prompt.length;
    loadBlock(rows);
    transformer.project(queue, layer, rows);
    ActivationBuffers a = transformer.activations();
    operations.store(queue, kvLayer(), kv.scratch(), start, rows, a.key(), a.value());
    for (Target target : targets) {
      closeChunks(target, start + rows);
    }
    if (!lastLayer) {
      attend(0, rows);
      queue.download(a.residual().buffer(), 0, residual, rowBytes * start, rowBytes * rows);
    } else if (lastBlock) {
      attend(rows - 1, 1);
      transformer.logits(queue, rows - 1, 1);
      output.downloadLikeliest(queue, 1);
      if (wantsLogits) {
        output.downloadLogits(queue, 0);
      }
    }
    if (lastBlock) {
      for (Target target : targets) {
        operations.seed(queue, kvLayer(), kv.scratch(), target.seat, prompt.length);
      }
    }
    // One wait for each quantum keeps the queue short, so that decode steps get their turn, and
    // lets the store demote what this block has written.
    queue.synchronize();
    start += rows;
    if (lastBlock) {
      start = 0;
      targets.forEach(target -> target.closed = 0);
      layer++;
    }
    return lastBlock && lastLayer;
  }

  private void loadBlock(int rows) {
    for (int row = 0; row < rows; row++) {
      block.segment().setAtIndex(ValueLayout.JAVA_INT, row, prompt[start + row]);
      block
          .segment()
          .setAtIndex(ValueLayout.JAVA_INT, (long) sizes.prefillBlock() + row, start + row);
    }
    queue.upload(block, 4L * sizes.prefillBlock(), positions, 0, 4L * rows);
    transformer.angles(queue, positions, rows);
    if (layer == 0) {
      queue.upload(block, 0, tokens, 0, 4L * rows);
      transformer.embed(queue, tokens, rows);
    } else {
      Activations x = transformer.activations().residual();
      queue.upload(residual, rowBytes * start, x.buffer(), 0, rowBytes * rows);
    }
  }

  /** Closes the chunks that are complete with {@code stored} tokens and stay closed at the end. */
  private void closeChunks(Target target, int stored) {
    ChunkGrid grid = sizes.layout().grid();
    int complete = Math.max(0, (stored - grid.sink()) / grid.chunk());
    int to = Math.min(complete, grid.closedChunks(prompt.length));
    while (target.closed < to) {
      int seat = target.seat;
      int end = store.provideForChunks(queue, layer, seat, target.closed, to);
      operations.closeChunks(
          queue, kvLayer(), kv.scratch(), seat, target.closed, end, store.frames());
      target.closed = end;
    }
  }

  /** Attention and MLP of {@code rows} rows of the block from row {@code first}. */
  private void attend(int first, int rows) {
    ActivationBuffers a = transformer.activations();
    PrefillScratch scratch = kv.scratch();
    operations.attendCausal(
        queue,
        kvLayer(),
        transformer.shape(),
        scratch,
        a.query().row(first),
        start + first,
        rows,
        a.attended().row(first));
    transformer.addAttention(queue, layer, first, rows);
    transformer.addMlp(queue, layer, first, rows);
  }

  private KvLayer kvLayer() {
    return kv.layers().get(layer);
  }

  @Override
  public void close() {
    owned.forEach(Runnable::run);
    owned.clear();
  }
}

package dev.kvdrive.prefill;

import dev.kvdrive.device.AttentionOperations.Causal;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.KvOperations.Close;
import dev.kvdrive.device.KvOperations.Recall;
import dev.kvdrive.device.KvOperations.Seed;
import dev.kvdrive.device.KvOperations.Store;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.policy.Building;
import dev.kvdrive.kv.policy.Closing;
import dev.kvdrive.kv.policy.Policy;
import dev.kvdrive.kv.policy.SelectionTap;
import dev.kvdrive.kv.tier.Reuse;
import dev.kvdrive.kv.tier.TierException;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.Workspace;
import dev.kvdrive.transformer.ActivationBuffers;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Prefill of prompts, layer-major: all blocks of a layer, then the next layer. Dense causal
 * attention needs only the keys and values of the current layer in device memory; the residual
 * stream of the whole prompt waits in pinned host memory between layers ({@link ResidualStreams}).
 *
 * <pre>
 *   for each layer, for each block (behind the sink, what is reused is recalled from its frames):
 *     residual in (layer 0: embed) -> project -> store
 *       -> close chunks: to DRAM frames, from where the store moves them on while we compute
 *       -> build: clusters of the segments that are complete
 *       -> causal attention -> output projection -> MLP -> residual out
 *   end of layer: sink and ring to the seat
 *   last layer: all of the prompt's keys and values, but attention, MLP and logits of the last token
 *   only
 * </pre>
 *
 * The unit of scheduling is a <i>quantum</i>, one block of one layer ({@link #advance}); decode
 * steps, and quanta of other prompts, may run between quanta. A prompt has blocks of the residual
 * stream from its {@link #begin} to its {@link #end}, and a scratch of one layer's keys and values
 * from the first block of a layer to its last: two prompts of which none fits the smaller scratch
 * take turns layer by layer. Used on the engine thread.
 */
public final class Prefill implements AutoCloseable {
  private final Operations operations;
  private final Policy policy;
  private final Queue queue;
  private final Transformer transformer;
  private final KvState kv;
  private final TieredStore store;
  private final StepOutput output;
  private final EngineSizes sizes;
  private final PrefillWork work;
  private final ProjectionObserver observer;
  private final WindowWarmUp warmUp;
  private final ResidualStreams residuals;
  private final HostBuffer block;
  private final DeviceBuffer tokens;
  private final DeviceBuffer positions;

  /** What gives back its own memory, the last made first. */
  private final Deque<Runnable> owned = new ArrayDeque<>();

  private final Deque<Integer> freeBlocks = new ArrayDeque<>();
  private final List<PrefillScratch> freeScratches = new ArrayList<>();

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
    this(
        device,
        queue,
        transformer,
        kv,
        store,
        output,
        sizes,
        ProjectionObserver.NONE,
        WindowOptions.DEFAULT.withWarmUp(0),
        null);
  }

  /**
   * Like the other, watched.
   *
   * @param windows how windows are filled at the end of a prompt
   * @param tap sees what that selects; null for nobody
   */
  public Prefill(
      Device device,
      Queue queue,
      Transformer transformer,
      KvState kv,
      TieredStore store,
      StepOutput output,
      EngineSizes sizes,
      ProjectionObserver observer,
      WindowOptions windows,
      @Nullable SelectionTap tap) {
    this.observer = observer;
    this.operations = device.operations();
    this.policy = Policy.of(sizes.policy());
    this.queue = queue;
    this.transformer = transformer;
    this.kv = kv;
    this.store = store;
    this.output = output;
    this.sizes = sizes;
    work = new PrefillWork(sizes.geometry());
    long blockBytes = 4L * sizes.prefillBlock();
    try {
      residuals = new ResidualStreams(device, sizes);
      owned.push(residuals::close);
      block = device.allocateHost("tokens and positions of a block", 2 * blockBytes);
      owned.push(block::close);
      tokens = device.allocate("tokens of a block", blockBytes);
      owned.push(tokens::close);
      positions = device.allocate("positions of a block", blockBytes);
      owned.push(positions::close);
      warmUp =
          new WindowWarmUp(
              device, policy, transformer.shape(), kv, store, sizes, windows.warmUpTokens(), tap);
      owned.push(warmUp::close);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    for (int i = 0; i < sizes.residualBlocks(); i++) {
      freeBlocks.add(i);
    }
    freeScratches.addAll(kv.scratches());
  }

  /**
   * Whether a prompt of so many tokens has room beside those that have begun and not ended.
   *
   * @param reused tokens of it that are not computed
   */
  public boolean fits(int promptTokens, int reused) {
    return blocks(promptTokens, reused) <= freeBlocks.size();
  }

  private int blocks(int promptTokens, int reused) {
    return Workspace.promptBlocks(promptTokens, reused, sizes.prefillBlock());
  }

  /**
   * Starts a prompt.
   *
   * @param prompt its tokens, at most {@code contextLength}; not changed by the caller
   * @param seats open seats: sequences that go on from this prompt, computed once for all of them
   * @param logits whether the host wants to see the logits of the last token
   * @throws IllegalStateException unless it {@link #fits}
   */
  public PromptPrefill begin(int[] prompt, List<Integer> seats, boolean logits) {
    return begin(
        prompt,
        seats,
        seats.stream().map(seat -> sizes.budget().share()).toList(),
        logits,
        Reuse.NONE);
  }

  /**
   * Like the other.
   *
   * @param budgets share of its chunks that each of the sequences will attend
   * @param reuse what each of the seats was opened with
   */
  public PromptPrefill begin(
      int[] prompt, List<Integer> seats, List<Double> budgets, boolean logits, Reuse reuse) {
    int count = blocks(prompt.length, reuse.tokens());
    if (count > freeBlocks.size()) {
      throw new IllegalStateException(
          "%d tokens need %d blocks of residual stream, %d are free"
              .formatted(prompt.length, count, freeBlocks.size()));
    }
    int[] blocks = new int[count];
    for (int i = 0; i < count; i++) {
      blocks[i] = freeBlocks.removeFirst();
    }
    for (int seat : seats) {
      kv.reset(queue, operations, seat);
    }
    return new PromptPrefill(
        prompt,
        seats,
        budgets,
        logits,
        blocks,
        sizes.prefillBlock(),
        sizes.layout().grid().sink(),
        reuse,
        kv.layers().size(),
        work);
  }

  /**
   * The work of a prompt of so many tokens that has not begun; comparable with what is left.
   *
   * @param reused tokens of it that are not computed
   */
  public double work(int promptTokens, int reused) {
    return work.remaining(promptTokens, reused, 0, 0);
  }

  /** Takes back what a prompt has of the memory for prefill, finished or not. Idempotent. */
  public void end(PromptPrefill prompt) {
    for (int taken : prompt.takeBlocks()) {
      freeBlocks.addFirst(taken);
    }
    releaseScratch(prompt);
  }

  private void releaseScratch(PromptPrefill prompt) {
    PrefillScratch scratch = prompt.takeScratch();
    if (scratch != null) {
      freeScratches.add(scratch);
    }
  }

  /** Whether the prompt can {@link #advance} before any other does. */
  public boolean ready(PromptPrefill prompt) {
    return prompt.scratch() != null || freeScratch(prompt) != null;
  }

  /** Whether no scratch but the one for whole contexts is large enough for the prompt. */
  public boolean needsWhole(PromptPrefill prompt) {
    return prompt.tokens() > sizes.shortPrompt();
  }

  /** Whether {@code holder} has a scratch that {@code waiting} could use. */
  public boolean keepsWaiting(PromptPrefill holder, PromptPrefill waiting) {
    PrefillScratch scratch = holder.scratch();
    return scratch != null && scratch.maxTokens() >= waiting.tokens();
  }

  /** The smallest free scratch that is large enough. */
  private @Nullable PrefillScratch freeScratch(PromptPrefill prompt) {
    PrefillScratch best = null;
    for (PrefillScratch free : freeScratches) {
      if (free.maxTokens() >= prompt.tokens()
          && (best == null || free.maxTokens() < best.maxTokens())) {
        best = free;
      }
    }
    return best;
  }

  private PrefillScratch scratch(PromptPrefill prompt) {
    PrefillScratch scratch = prompt.scratch();
    if (scratch == null) {
      scratch = freeScratch(prompt);
      if (scratch == null) {
        throw new IllegalStateException("other prompts have every scratch that is large enough");
      }
      freeScratches.remove(scratch);
      prompt.giveScratch(scratch);
    }
    return scratch;
  }

  /** What has become of a quantum. */
  public enum Progress {
    /** There is no room for its chunks yet: it is to be run again once the seat does not wait. */
    WAITS,
    /** It has run. */
    RAN,
    /**
     * It was the last: row 0 of the output belongs to the prompt's last token, and {@link #end}
     * comes next.
     */
    FINISHED
  }

  /**
   * Runs one quantum and waits for it.
   *
   * @throws dev.kvdrive.kv.tier.TierException if the chunks of a seat have no room; after {@link
   *     PromptPrefill#withdraw} of that seat the same quantum can be run again, and quanta of other
   *     prompts can
   * @throws IllegalStateException unless it is {@link #ready}
   */
  public Progress advance(PromptPrefill prompt) {
    PrefillScratch scratch = scratch(prompt);
    try {
      return prompt.recalls() ? recall(prompt, scratch) : advance(prompt, scratch);
    } catch (TierException e) {
      // Another prompt may be next: what was submitted must not read its tokens and positions.
      queue.synchronize();
      throw e;
    }
  }

  /** Brings what is reused of a layer back into the scratch, as much of it as is in DRAM. */
  private Progress recall(PromptPrefill prompt, PrefillScratch scratch) {
    if (prompt.targets().isEmpty()) {
      throw new IllegalStateException("a prompt that nobody wants recalls nothing");
    }
    int layer = prompt.layer();
    KvLayer kvLayer = kv.layers().get(layer);
    int from = prompt.recalled();
    int extents = prompt.reusedExtents();
    int seat = prompt.targets().getFirst().seat();
    int to = store.provideForRecall(queue, layer, seat, from, extents);
    if (to > from) {
      int chunks = sizes.layout().extentChunks();
      PromptChunks recalled = new PromptChunks(kvLayer, scratch, seat, from * chunks, to * chunks);
      operations.kv().recall(queue, new Recall(recalled, store.frames()));
      prompt.recalled(to);
      if (to == extents) {
        for (PromptPrefill.Target target : prompt.targets()) {
          policy.close(
              Closing.inPrompt(
                  operations.index(),
                  queue,
                  new PromptChunks(kvLayer, scratch, target.seat(), 0, to * chunks)));
          target.close(to * chunks);
        }
        build(prompt, kvLayer, scratch, 0, prompt.reused());
      }
      queue.synchronize();
    }
    return to > from ? Progress.RAN : Progress.WAITS;
  }

  private Progress advance(PromptPrefill prompt, PrefillScratch scratch) {
    int layer = prompt.layer();
    int start = prompt.start();
    int rows = prompt.end() - start;
    boolean lastLayer = layer == kv.layers().size() - 1;
    boolean lastBlock = start + rows == prompt.tokens();
    KvLayer kvLayer = kv.layers().get(layer);
    for (PromptPrefill.Target target : prompt.targets()) {
      int to = closing(prompt, start + rows);
      if (target.closed() < to
          && !store.hasRoomForChunks(queue, layer, target.seat(), target.closed(), to)) {
        return Progress.WAITS;
      }
    }
    loadBlock(prompt, rows);
    transformer.project(queue, layer, rows);
    ActivationBuffers a = transformer.activations();
    ChunkGrid grid = sizes.layout().grid();
    int closing = grid.firstToken(grid.closedChunks(prompt.tokens()));
    operations
        .kv()
        .store(queue, new Store(kvLayer, scratch, start, rows, closing, a.key(), a.value()));
    for (PromptPrefill.Target target : prompt.targets()) {
      if (!closeChunks(prompt, target, kvLayer, scratch, start + rows)) {
        // Another prompt, or a step, may be next.
        queue.synchronize();
        return Progress.WAITS;
      }
    }
    build(prompt, kvLayer, scratch, start, start + rows);
    for (PromptPrefill.Target target : prompt.targets()) {
      warmUp.submit(
          queue, kvLayer, prompt.tokens(), start, rows, target.seat(), target.budget(), a.query());
    }
    if (!lastLayer) {
      attend(kvLayer, scratch, start, 0, rows);
      residuals.save(queue, block(prompt), rows, a.residual());
    } else if (lastBlock) {
      attend(kvLayer, scratch, start, rows - 1, 1);
      transformer.logits(queue, rows - 1, 1);
      output.downloadLikeliest(queue, 1);
      if (prompt.wantsLogits()) {
        output.downloadLogits(queue, 0);
      }
    }
    if (lastBlock) {
      for (PromptPrefill.Target target : prompt.targets()) {
        operations.kv().seed(queue, new Seed(kvLayer, scratch, target.seat(), prompt.tokens()));
      }
    }
    // One wait for each quantum keeps the queue short, so that decode steps and other prompts get
    // their turn, and lets the store demote what this block has written.
    queue.synchronize();
    observer.projected(layer, start, rows, a);
    if (lastBlock) {
      releaseScratch(prompt);
    }
    prompt.advanced(rows);
    return lastBlock && lastLayer ? Progress.FINISHED : Progress.RAN;
  }

  /** The place of the residual stream of the prompt's next block. */
  private static int block(PromptPrefill prompt) {
    return prompt.block(prompt.start());
  }

  private void loadBlock(PromptPrefill prompt, int rows) {
    for (int row = 0; row < rows; row++) {
      block.segment().setAtIndex(ValueLayout.JAVA_INT, row, prompt.token(prompt.start() + row));
      block
          .segment()
          .setAtIndex(
              ValueLayout.JAVA_INT, (long) sizes.prefillBlock() + row, prompt.start() + row);
    }
    queue.upload(block, 4L * sizes.prefillBlock(), positions, 0, 4L * rows);
    transformer.angles(queue, positions, rows);
    if (prompt.layer() == 0) {
      queue.upload(block, 0, tokens, 0, 4L * rows);
      transformer.embed(queue, tokens, rows);
    } else {
      residuals.load(queue, prompt, block(prompt), rows, transformer.activations().residual());
    }
    int next = prompt.following(prompt.start(), rows);
    if (next == prompt.tokens()) {
      // The first block of the next layer, unless it is this one, which is not there yet.
      if (prompt.start() > prompt.first() && prompt.layer() < kv.layers().size() - 1) {
        residuals.prepare(queue, prompt, prompt.block(prompt.first()));
      }
    } else if (prompt.layer() > 0) {
      residuals.prepare(queue, prompt, prompt.block(next));
    }
  }

  /** Chunks that are complete with {@code stored} tokens and stay closed at the end. */
  private int closing(PromptPrefill prompt, int stored) {
    ChunkGrid grid = sizes.layout().grid();
    int complete = Math.max(0, (stored - grid.sink()) / grid.chunk());
    return Math.min(complete, grid.closedChunks(prompt.tokens()));
  }

  /**
   * Closes the chunks that are complete with {@code stored} tokens and stay closed at the end;
   * whether there was room for all.
   */
  private boolean closeChunks(
      PromptPrefill prompt,
      PromptPrefill.Target target,
      KvLayer kvLayer,
      PrefillScratch scratch,
      int stored) {
    int to = closing(prompt, stored);
    while (target.closed() < to) {
      int seat = target.seat();
      int from = target.closed();
      int end = store.provideForChunks(queue, prompt.layer(), seat, from, to);
      if (end == from) {
        return false;
      }
      PromptChunks chunks = new PromptChunks(kvLayer, scratch, seat, from, end);
      operations.kv().close(queue, new Close(chunks, store.frames()));
      policy.close(Closing.inPrompt(operations.index(), queue, chunks));
      target.close(end);
    }
    return true;
  }

  /**
   * Has the policy build what it keeps of the segments that tokens {@code [from, to)} complete, and
   * at the end of the prompt of the rest: which chunks are a segment depends on the prompt alone.
   */
  private void build(
      PromptPrefill prompt, KvLayer kvLayer, PrefillScratch scratch, int from, int to) {
    ClusterFormat format = sizes.policy().clusters();
    if (format == null) {
      return;
    }
    int segment = format.segmentChunks(sizes.layout());
    int closed = closing(prompt, to);
    int first = closing(prompt, from) / segment * segment;
    for (int chunk = first; chunk < closed; chunk += segment) {
      int end = Math.min(chunk + segment, closed);
      if (end == chunk + segment || to == prompt.tokens()) {
        buildOnce(prompt.targets(), kvLayer, scratch, chunk, end);
      }
    }
  }

  /** What is built depends on the prompt alone: the other seats get a copy of what one has. */
  private void buildOnce(
      List<PromptPrefill.Target> targets,
      KvLayer kvLayer,
      PrefillScratch scratch,
      int from,
      int to) {
    LayerClusters clusters = kvLayer.index().clusters();
    if (targets.isEmpty() || clusters == null) {
      return;
    }
    int seat = targets.getFirst().seat();
    policy.build(
        new Building(
            operations.index(), queue, new PromptChunks(kvLayer, scratch, seat, from, to)));
    for (int i = 1; i < targets.size(); i++) {
      clusters.copy(queue, kvLayer.seats(), seat, targets.get(i).seat());
    }
  }

  /**
   * Attention and MLP of {@code rows} rows from row {@code first} of the block at {@code start}.
   */
  private void attend(KvLayer kvLayer, PrefillScratch scratch, int start, int first, int rows) {
    ActivationBuffers a = transformer.activations();
    operations
        .attention()
        .causal(
            queue,
            new Causal(
                kvLayer,
                transformer.shape(),
                scratch,
                a.query().row(first),
                start + first,
                rows,
                a.attended().row(first)));
    transformer.addAttention(queue, kvLayer.layer(), first, rows);
    transformer.addMlp(queue, kvLayer.layer(), first, rows);
  }

  @Override
  public void close() {
    owned.forEach(Runnable::run);
    owned.clear();
  }
}

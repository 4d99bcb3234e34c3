package dev.kvdrive.prefill;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.device.WindowOperations.Credit;
import dev.kvdrive.device.WindowOperations.Observe;
import dev.kvdrive.device.WindowOperations.Prefetch;
import dev.kvdrive.kv.policy.Choosing;
import dev.kvdrive.kv.policy.Keeping;
import dev.kvdrive.kv.policy.Policy;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import dev.kvdrive.kv.policy.SelectionTap;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Fills the windows of a sequence before its first step: for the last tokens of its prompt, chunks
 * are chosen as a step would choose them, and brought from DRAM; what is only on NVMe is left
 * there. The verbs are those of a step without its attention, so that afterwards the windows hold
 * what they would hold had these tokens been decoded. No token depends on it.
 */
final class WindowWarmUp implements AutoCloseable {
  /** Of so many tokens of a prompt one is selected for at most: a short one is not held up. */
  private static final int TOKENS_OF_PROMPT = 64;

  /** Words of a row: token, position, seat, select count. */
  private static final int PARAMETERS = 4;

  private final Operations operations;
  private final Policy policy;
  private final AttentionShape shape;
  private final KvState kv;
  private final TieredStore store;
  private final EngineSizes sizes;
  private final int tokens;
  private final @Nullable SelectionTap tap;
  private final HostBuffer parameters;
  private final DeviceBuffer uploaded;
  private final StepBatch batch;

  /** Where in {@link #parameters} the next token's are written. */
  private int next;

  /**
   * @param tokens at the end of a prompt; 0 for windows that stay empty
   * @param tap sees what is chosen; null for nobody
   */
  WindowWarmUp(
      Device device,
      Policy policy,
      AttentionShape shape,
      KvState kv,
      TieredStore store,
      EngineSizes sizes,
      int tokens,
      @Nullable SelectionTap tap) {
    operations = device.operations();
    this.policy = policy;
    this.shape = shape;
    this.kv = kv;
    this.store = store;
    this.sizes = sizes;
    this.tokens = tokens;
    this.tap = tap;
    parameters =
        device.allocateHost(
            "warm-up of windows", Workspace.warmUpBytes(Workspace.MOST_WARM_UP_TOKENS));
    try {
      uploaded = device.allocate("row of the warm-up", 4L * PARAMETERS);
    } catch (RuntimeException e) {
      parameters.close();
      throw e;
    }
    batch = new StepBatch(1, parameter(0), parameter(1), parameter(2), parameter(3));
  }

  /**
   * Submits what the block has of the prompt's last tokens, for a seat whose chunks of them are
   * closed. The queue is synchronised before anything else uses the block.
   *
   * @param prompt tokens of the prompt
   * @param start first token of the block
   * @param rows of the block
   * @param query of these rows
   * @param budget share of its chunks that the sequence attends
   */
  void submit(
      Queue queue,
      KvLayer layer,
      int prompt,
      int start,
      int rows,
      int seat,
      double budget,
      Activations query) {
    if (tokens == 0 || !policy.warmsUp()) {
      return;
    }
    int first = Math.max(start, prompt - Math.min(tokens, prompt / TOKENS_OF_PROMPT));
    boolean told = false;
    for (int position = first; position < start + rows; position++) {
      int closed = sizes.layout().grid().closedChunks(position + 1);
      int selected = sizes.selectCount(budget, closed);
      if (selected == 0 || selected >= closed) {
        continue; // it attends everything: there is nothing to choose
      }
      if (!told) {
        store.tellFrames(queue);
        told = true;
      }
      upload(queue, position, seat, selected);
      submit(queue, layer, seat, position, query.row(position - start));
      if (layer.layer() == sizes.layout().layers() - 1) {
        kv.windows().selected(seat);
      }
    }
  }

  private void submit(Queue queue, KvLayer layer, int seat, int position, Activations query) {
    LayerStep step = new LayerStep(batch, layer);
    Selection selection = kv.selection();
    policy.choose(new Choosing(operations.index(), queue, step, shape, query, selection));
    if (!kv.reuse().isEmpty()) {
      operations
          .window()
          .observe(queue, new Observe(step, selection, kv.reuse().get(layer.layer())));
    }
    int passes = Math.ceilDiv(sizes.selectCount(sizes.maxChunks()), sizes.passChunks());
    for (int pass = 0; pass < passes; pass++) {
      Pass of = new Pass(step, selection, pass);
      Keeping keeping = new Keeping(operations.window(), queue, of);
      policy.keep(keeping);
      operations.window().diff(queue, of);
      policy.used(keeping);
      if (kv.prefetchMarks() != null) {
        operations.window().credit(queue, new Credit(of, kv.prefetchMarks()));
      }
      operations.window().prefetch(queue, new Prefetch(of, store.frames(), null));
    }
    if (tap != null) {
      tap.read(queue, Purpose.WARM_UP, layer.layer(), new int[] {seat}, new int[] {position}, 1);
    }
  }

  private DeviceSlice parameter(int index) {
    return new DeviceSlice(uploaded, 4L * index, 4);
  }

  private void upload(Queue queue, int position, int seat, int selected) {
    if (next == Workspace.MOST_WARM_UP_TOKENS) {
      queue.synchronize(); // what was written first may still be on its way
      next = 0;
    }
    int[] values = {0, position, seat, selected};
    long first = (long) next * PARAMETERS;
    for (int i = 0; i < PARAMETERS; i++) {
      parameters.segment().setAtIndex(ValueLayout.JAVA_INT, first + i, values[i]);
    }
    queue.upload(parameters, 4 * first, uploaded, 0, uploaded.bytes());
    next++;
  }

  @Override
  public void close() {
    uploaded.close();
    parameters.close();
  }
}

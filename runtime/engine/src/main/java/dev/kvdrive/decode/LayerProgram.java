package dev.kvdrive.decode;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations.Attend;
import dev.kvdrive.device.AttentionOperations.Begin;
import dev.kvdrive.device.AttentionOperations.Finish;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.KvOperations.Append;
import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.device.WindowOperations.Fetch;
import dev.kvdrive.device.WindowOperations.Land;
import dev.kvdrive.device.WindowOperations.Observe;
import dev.kvdrive.device.WindowOperations.Prefetch;
import dev.kvdrive.kv.policy.Choosing;
import dev.kvdrive.kv.policy.Closing;
import dev.kvdrive.kv.policy.Keeping;
import dev.kvdrive.kv.policy.Policy;
import dev.kvdrive.kv.policy.Resting;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The attention of one layer of a decode step, from the new keys and values to the output: the one
 * place with all its verbs in their order. Only submits; may be recorded.
 *
 * <pre>
 *   append -> close -> choose -> begin (sink, ring) -> rest
 *     for each pass over the selection:
 *       keep -> diff -> used -> fetch, hits -> land -> misses
 *   -> finish
 * </pre>
 *
 * @param operations the verbs
 * @param policy what is chosen and kept
 * @param shape of the attention
 * @param selection workspace of selection and passes
 * @param state running softmax
 * @param frames the DRAM tier
 * @param mailbox how misses that are on NVMe are asked for
 * @param reuse where each layer notes what it selects; empty if nobody asks
 * @param fetchTimeoutMillis how long those of one pass may take
 * @param pipeline the queue on which misses are fetched while hits are attended; null: no other
 */
record LayerProgram(
    Operations operations,
    Policy policy,
    AttentionShape shape,
    Selection selection,
    AttentionState state,
    FramePool frames,
    Mailbox mailbox,
    List<LayerReuse> reuse,
    int fetchTimeoutMillis,
    @Nullable Pipeline pipeline) {
  /**
   * A second queue.
   *
   * @param transfers where misses are fetched
   * @param diffed orders a fetch behind its diff
   * @param landed orders attention to misses behind their landing
   */
  record Pipeline(Queue transfers, Event diffed, Event landed) {}

  /**
   * Submits the layer.
   *
   * @param passes over the selection: enough for the row that selects most
   * @param query of the rows, as {@code key} and {@code value}
   * @param out where the attention output goes
   */
  void submit(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      int passes,
      Activations query,
      Activations key,
      Activations value,
      Activations out) {
    LayerStep step = new LayerStep(batch, layer);
    operations.kv().append(queue, new Append(step, frames, key, value));
    policy.close(Closing.inStep(operations.index(), queue, step));
    policy.choose(new Choosing(operations.index(), queue, step, shape, query, selection));
    if (!reuse.isEmpty()) {
      operations.window().observe(queue, new Observe(step, selection, reuse.get(layer.layer())));
    }
    operations.attention().begin(queue, new Begin(step, shape, query, state));
    policy.rest(new Resting(operations.attention(), queue, step, shape, query, selection, state));
    for (int pass = 0; pass < passes; pass++) {
      submitPass(queue, new Pass(step, selection, pass), query);
    }
    operations.attention().finish(queue, new Finish(step, shape, state, out));
  }

  /**
   * Submits what brings chunks for a layer that comes later: its first pass, as far as DRAM has it,
   * while the queue goes on with something else. The layer's own steps wait for it.
   *
   * @param rows before their newest token has closed a chunk
   * @param layer the later layer
   * @param chosen workspace with counters of its own
   * @param query what its queries are likely to be
   */
  void prefetch(Queue queue, StepBatch rows, KvLayer layer, Selection chosen, Activations query) {
    LayerStep step = new LayerStep(rows, layer);
    Pass pass = new Pass(step, chosen, 0);
    policy.choose(new Choosing(operations.index(), queue, step, shape, query, chosen));
    policy.keep(new Keeping(operations.window(), queue, pass));
    operations.window().diff(queue, pass);
    Queue transfers = queue;
    if (pipeline != null) {
      transfers = pipeline.transfers();
      queue.record(pipeline.diffed());
      transfers.await(pipeline.diffed());
    }
    operations.window().prefetch(transfers, new Prefetch(pass, frames));
    if (pipeline != null) {
      transfers.record(pipeline.landed());
    }
  }

  /** Makes the queue wait for the last {@link #prefetch}. */
  void awaitPrefetch(Queue queue) {
    if (pipeline != null) {
      queue.await(pipeline.landed());
    }
  }

  private void submitPass(Queue queue, Pass pass, Activations query) {
    Attend attend = new Attend(pass, shape, query, state);
    Keeping keeping = new Keeping(operations.window(), queue, pass);
    policy.keep(keeping);
    operations.window().diff(queue, pass);
    policy.used(keeping);
    Queue transfers = queue;
    if (pipeline != null) {
      transfers = pipeline.transfers();
      queue.record(pipeline.diffed());
      transfers.await(pipeline.diffed());
    }
    operations.window().fetch(transfers, new Fetch(pass, frames, mailbox));
    operations.attention().hits(queue, attend);
    operations.window().land(transfers, new Land(pass, mailbox, fetchTimeoutMillis));
    if (pipeline != null) {
      transfers.record(pipeline.landed());
      queue.await(pipeline.landed());
    }
    operations.attention().misses(queue, attend);
  }
}

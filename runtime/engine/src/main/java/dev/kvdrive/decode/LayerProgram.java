package dev.kvdrive.decode;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations.Attend;
import dev.kvdrive.device.AttentionOperations.Begin;
import dev.kvdrive.device.AttentionOperations.Finish;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.DeviceBuffer;
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
import dev.kvdrive.device.WindowOperations.Credit;
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
 *   append -> close -> begin, where rows may miss a share of their attention
 *     for each micro-batch: choose -> keep -> diff -> used, credit -> fetch, land (transfers)
 *   begin (sink, ring), elsewhere -> rest
 *     for each micro-batch: hits -> misses, behind its landing
 *     for each further pass over the selection:
 *       the same from keep on
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
 * @param prefetched which slots a prefetch has filled; null if there is none
 * @param fetchTimeoutMillis how long those of one pass may take
 * @param pipeline the queue on which misses are fetched while something else is computed; null: no
 *     other. Then only the drive works meanwhile
 * @param clock is told of each stage that begins
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
    @Nullable DeviceBuffer prefetched,
    int fetchTimeoutMillis,
    @Nullable Pipeline pipeline,
    StepClock clock) {
  private static final int NONE = -1;

  /**
   * A second queue.
   *
   * @param transfers where misses are fetched
   * @param diffed of each micro-batch: orders a fetch behind its diff
   * @param landed of each micro-batch: orders attention to misses behind their landing
   */
  record Pipeline(Queue transfers, List<Event> diffed, List<Event> landed) {}

  /**
   * Submits the layer.
   *
   * @param batch all rows
   * @param parts the same rows in micro-batches: each has the rows of the others unused. What one
   *     of them misses is fetched while the next one selects; without a pipeline there is one
   * @param passes over the selection: enough for the row that selects most
   * @param query of the rows, as {@code key} and {@code value}
   * @param out where the attention output goes
   */
  void submit(
      Queue queue,
      StepBatch batch,
      List<StepBatch> parts,
      KvLayer layer,
      int passes,
      Activations query,
      Activations key,
      Activations value,
      Activations out) {
    LayerStep step = new LayerStep(batch, layer);
    clock.enter(queue, StepStage.APPEND);
    operations.kv().append(queue, new Append(step, frames, key, value));
    policy.close(Closing.inStep(operations.index(), queue, step));
    boolean first = batch.mayMiss() != null;
    if (first) {
      clock.enter(queue, StepStage.ATTEND);
      operations.attention().begin(queue, new Begin(step, shape, query, state));
    }
    Fetched fetched = new Fetched(queue);
    for (int part = 0; part < parts.size(); part++) {
      clock.enter(queue, StepStage.SELECT);
      LayerStep of = new LayerStep(parts.get(part), layer);
      policy.choose(choosing(queue, of, query, selection));
      if (passes > 0) {
        fetched.ask(part, new Pass(of, selection, 0));
      }
    }
    if (!reuse.isEmpty()) {
      clock.enter(queue, StepStage.SELECT);
      operations.window().observe(queue, new Observe(step, selection, reuse.get(layer.layer())));
    }
    if (!first) {
      clock.enter(queue, StepStage.ATTEND);
      operations.attention().begin(queue, new Begin(step, shape, query, state));
    }
    clock.enter(queue, StepStage.ESTIMATE);
    policy.rest(new Resting(operations.attention(), queue, step, shape, query, selection, state));
    for (int pass = 0; pass < passes; pass++) {
      for (int part = 0; pass > 0 && part < parts.size(); part++) {
        fetched.ask(part, new Pass(new LayerStep(parts.get(part), layer), selection, pass));
      }
      for (int part = 0; part < parts.size(); part++) {
        Pass of = new Pass(new LayerStep(parts.get(part), layer), selection, pass);
        Attend attend = new Attend(of, shape, query, state);
        clock.enter(queue, StepStage.ATTEND);
        operations.attention().hits(queue, attend);
        clock.enter(queue, StepStage.FETCH);
        fetched.await(part);
        clock.enter(queue, StepStage.ATTEND);
        operations.attention().misses(queue, attend);
      }
    }
    clock.enter(queue, StepStage.ATTEND);
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
    if (rows.mayMiss() != null) {
      operations.attention().begin(queue, new Begin(step, shape, query, state));
    }
    policy.choose(choosing(queue, step, query, chosen));
    Keeping keeping = new Keeping(operations.window(), queue, pass);
    policy.keep(keeping);
    operations.window().diff(queue, pass);
    policy.used(keeping);
    Queue transfers = queue;
    if (pipeline != null) {
      transfers = pipeline.transfers();
      queue.record(pipeline.diffed().getFirst());
      transfers.await(pipeline.diffed().getFirst());
    }
    operations.window().prefetch(transfers, new Prefetch(pass, frames, prefetched));
    if (pipeline != null) {
      transfers.record(pipeline.landed().getFirst());
    }
  }

  private Choosing choosing(Queue queue, LayerStep step, Activations query, Selection chosen) {
    return new Choosing(
        operations.index(),
        queue,
        step,
        shape,
        query,
        chosen,
        step.batch().mayMiss() == null ? null : state);
  }

  /** Makes the queue wait for the last {@link #prefetch}. */
  void awaitPrefetch(Queue queue) {
    if (pipeline != null) {
      queue.await(pipeline.landed().getFirst());
    }
  }

  /**
   * What was asked for and has not been waited for. With a pipeline that is what its queue is busy
   * with. Without one there is one queue, and the mailbox holds one pass of one micro-batch: it is
   * waited for as late as can be, before the next is asked for or its misses are attended, and
   * meanwhile the drive works.
   */
  private final class Fetched {
    private final Queue queue;
    private int part = NONE;
    private @Nullable Pass pass;

    Fetched(Queue queue) {
      this.queue = queue;
    }

    /** Puts a pass of a micro-batch into the window, and asks for what is missing. */
    void ask(int ofPart, Pass of) {
      clock.enter(queue, StepStage.FETCH);
      Keeping keeping = new Keeping(operations.window(), queue, of);
      policy.keep(keeping);
      operations.window().diff(queue, of);
      policy.used(keeping);
      if (prefetched != null) {
        operations.window().credit(queue, new Credit(of, prefetched));
      }
      Fetch fetch = new Fetch(of, frames, mailbox);
      if (pipeline != null) {
        Queue transfers = pipeline.transfers();
        queue.record(pipeline.diffed().get(ofPart));
        transfers.await(pipeline.diffed().get(ofPart));
        operations.window().fetch(transfers, fetch);
        land(transfers, of);
        transfers.record(pipeline.landed().get(ofPart));
      } else {
        land();
        operations.window().fetch(queue, fetch);
        part = ofPart;
        pass = of;
      }
    }

    /** Makes the queue wait for what a micro-batch has asked for. */
    void await(int ofPart) {
      if (pipeline != null) {
        queue.await(pipeline.landed().get(ofPart));
      } else if (part == ofPart) {
        land();
      }
    }

    private void land() {
      Pass asked = pass;
      if (asked != null) {
        land(queue, asked);
        pass = null;
        part = NONE;
      }
    }

    private void land(Queue on, Pass of) {
      operations.window().land(on, new Land(of, mailbox, fetchTimeoutMillis));
    }
  }
}

package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.decode.DecodeStep;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.model.Model;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.prefill.PromptPrefill;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Set;

/**
 * The stages of the engine without its scheduler: prompts are prefilled and tokens appended as the
 * test says, and all logits can be seen.
 */
final class ForwardPass implements AutoCloseable {
  private final Deque<Runnable> owned = new ArrayDeque<>();
  private final Queue queue;
  private final TieredStore store;
  private final StepOutput output;
  private final Prefill prefill;
  private final DecodeStep step;
  private final int[] positions;
  private final int vocabulary;
  private final double budget;

  /** Quanta that the last prefill took. */
  int quanta;

  /** Selected chunks of all steps so far, by {@code Selection.*_COUNTER}. */
  final long[] counters = new long[Selection.COUNTERS];

  ForwardPass(Device device, Model model, EngineSettings settings) {
    EngineSizes sizes = settings.sizes();
    vocabulary = model.spec().vocabulary();
    budget = sizes.budget().share();
    positions = new int[sizes.concurrency()];
    queue = device.createQueue("forward pass");
    owned.push(queue::close);
    Transformer transformer = Transformer.load(device, model, sizes);
    owned.push(transformer::close);
    KvState kv = KvState.allocate(device, queue, sizes, settings.calibration());
    owned.push(kv::close);
    store = TieredStore.open(sizes, device, kv.layers(), kv.extents(), settings.nvme());
    owned.push(store::close);
    output = new StepOutput(device, transformer, sizes.concurrency(), vocabulary);
    owned.push(output::close);
    step = new DecodeStep(device, queue, transformer, kv, store, output, sizes, settings.decode());
    owned.push(step::close);
    prefill = new Prefill(device, queue, transformer, kv, store, output, sizes);
    owned.push(prefill::close);
  }

  /** Prefills a prompt into a free seat; returns the logits after its last token. */
  float[] prefill(int seat, int... prompt) {
    store.openSeat(queue, seat, new SequenceIdentity("", "sequence in seat " + seat));
    PromptPrefill running = prefill.begin(prompt, List.of(seat), true);
    quanta = 0;
    boolean finished = false;
    while (!finished) {
      Prefill.Progress progress = prefill.advance(running);
      if (progress == Prefill.Progress.WAITS) {
        awaitTurn(seat);
        continue;
      }
      finished = progress == Prefill.Progress.FINISHED;
      quanta++;
    }
    prefill.end(running);
    assertThat(running.done()).isEqualTo(running.total());
    positions[seat] = prompt.length;
    return logits(0);
  }

  private void awaitTurn(int seat) {
    while (store.waits(queue, seat)) {
      Thread.onSpinWait();
    }
  }

  /** Appends a token to each of some sequences; returns the logits of each. */
  float[][] step(int[] seats, int[] tokens) {
    step.clear();
    for (int row = 0; row < seats.length; row++) {
      step.add(tokens[row], positions[seats[row]]++, seats[row], budget, true);
    }
    for (Set<Integer> without = step.provide(); !without.isEmpty(); without = step.provide()) {
      without.forEach(this::awaitTurn);
    }
    assertThat(step.run(Long.MAX_VALUE / 4).reasons()).isEmpty();
    float[][] logits = new float[seats.length][];
    for (int row = 0; row < seats.length; row++) {
      logits[row] = logits(row);
      for (int counter = 0; counter < counters.length; counter++) {
        counters[counter] += step.counter(row, counter);
      }
    }
    return logits;
  }

  /** Appends a token to the sequence of a seat and looks at nothing. */
  void run(int seat, int token) {
    step.clear();
    step.add(token, positions[seat]++, seat, budget, false);
    step.provide();
    step.run(Long.MAX_VALUE / 4);
  }

  /** Ends the sequence of a seat. */
  void leave(int seat) {
    store.closeSeat(seat);
  }

  private float[] logits(int row) {
    float[] logits = new float[vocabulary];
    output.logits(row, logits);
    int best = 0;
    for (int i = 1; i < vocabulary; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    assertThat(output.chosen(row)).as("likeliest token").isEqualTo(best);
    return logits;
  }

  @Override
  public void close() {
    owned.forEach(Runnable::run);
    owned.clear();
  }
}

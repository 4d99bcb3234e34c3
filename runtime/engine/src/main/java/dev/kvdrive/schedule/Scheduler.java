package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeStep;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.kv.tier.Placement;
import dev.kvdrive.kv.tier.SequenceIdentity;
import dev.kvdrive.kv.tier.StepFaults;
import dev.kvdrive.kv.tier.TierException;
import dev.kvdrive.kv.tier.TierStatus;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.model.Model;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.text.Tokenizer;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;

/**
 * Continuous batching on the engine thread, and owner of everything the engine has on the device.
 * One {@link #turn}: end what was cancelled, admit what fits, run one prefill quantum if it is due,
 * run one decode step over all sequences that have their first token.
 *
 * <p>One prompt is prefilled at a time, for all sequences of a group that go on from it. While
 * others decode, prefill gets {@code prefillShare} of the time: after each quantum, decode steps
 * run until they have had their share. None of that changes what is computed, only when.
 */
final class Scheduler implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(Scheduler.class.getName());

  private final EngineSettings settings;
  private final EngineSizes sizes;
  private final RequestQueue requests;
  private final Totals totals;
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private final Queue queue;
  private final TieredStore store;
  private final StepOutput output;
  private final DecodeStep step;
  private final Prefill prefill;
  private final TokenChooser chooser;
  private final CapacityLedger ledger;
  private final Deque<Integer> freeSeats = new ArrayDeque<>();
  private final List<Sequence> decoding = new ArrayList<>();
  private final List<Sequence> prefilling = new ArrayList<>();
  private long identities;

  /**
   * Decode time that the last prefill quantum still owes to the sequences that waited for it,
   * whichever prompt it was of.
   */
  private double owedNanos;

  /**
   * Loads the model and allocates every tier.
   *
   * @throws RuntimeException if anything does not fit or fails; nothing stays allocated
   */
  Scheduler(
      Device device,
      Model model,
      Tokenizer tokenizer,
      EngineSettings settings,
      RequestQueue requests,
      Totals totals) {
    this.settings = settings;
    this.sizes = settings.sizes();
    this.requests = requests;
    this.totals = totals;
    try {
      queue = own(device.createQueue("engine"));
      Transformer transformer = own(Transformer.load(device, model, sizes));
      KvState kv = own(KvState.allocate(device, queue, sizes));
      store = own(openStore(device, kv));
      int vocabulary = Math.min(model.spec().vocabulary(), tokenizer.vocabularySize());
      output = own(new StepOutput(device, transformer, sizes.concurrency(), vocabulary));
      step =
          own(
              new DecodeStep(
                  device, queue, transformer, kv, store, output, sizes, settings.decode()));
      prefill = own(new Prefill(device, queue, transformer, kv, store, output, sizes));
      chooser = new TokenChooser(vocabulary);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    ledger = new CapacityLedger(sizes);
    for (int seat = 0; seat < sizes.concurrency(); seat++) {
      freeSeats.add(seat);
    }
  }

  private TieredStore openStore(Device device, KvState kv) {
    ExtentFile.Opener files = settings.extentFiles();
    return files == null
        ? TieredStore.open(sizes, device, kv.layers(), settings.nvme())
        : TieredStore.open(
            sizes, device, kv.layers(), settings.nvme(), Placement.LEAST_RECENTLY_USED, files);
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /** State of DRAM and NVMe tier; any thread, until {@link #close}. */
  TierStatus tierStatus() {
    return store.status();
  }

  /** Whether anything runs or can be started at once. */
  boolean idle() {
    return decoding.isEmpty() && prefilling.isEmpty();
  }

  /**
   * Does one turn of work.
   *
   * @return false if there was nothing to do, so that the thread may wait
   */
  boolean turn() {
    endCancelled();
    admit();
    if (idle()) {
      return false;
    }
    if (decoding.isEmpty()) {
      owedNanos = 0;
    }
    if (!prefilling.isEmpty() && owedNanos <= 0) {
      prefillQuantum();
    }
    if (!decoding.isEmpty()) {
      long start = System.nanoTime();
      decodeStep();
      owedNanos -= System.nanoTime() - start;
    }
    return true;
  }

  private void endCancelled() {
    for (Sequence sequence : requests.takeCancelled()) {
      sequence.finish(FinishReason.CANCELLED);
      sequence.announce();
    }
    for (Sequence sequence : prefilling) {
      if (sequence.cancelled()) {
        sequence.finish(FinishReason.CANCELLED);
      }
    }
    for (Sequence sequence : decoding) {
      if (sequence.cancelled()) {
        sequence.finish(FinishReason.CANCELLED);
      }
    }
    removeEnded();
  }

  /** Starts the prefill of the sequence that has waited longest and of those that share it. */
  private void admit() {
    if (!prefilling.isEmpty()) {
      return;
    }
    Sequence next = requests.first();
    while (next != null
        && !freeSeats.isEmpty()
        && ledger.fits(next.mostTokens())
        && (prefilling.isEmpty() || prefilling.getFirst().sharesPrefill(next))) {
      requests.admitFirst();
      seat(next);
      prefilling.add(next);
      next = requests.first();
    }
    if (!prefilling.isEmpty()) {
      prefill.begin(
          prefilling.getFirst().prompt(),
          prefilling.stream().map(Sequence::seat).toList(),
          prefilling.stream().anyMatch(Sequence::wantsLogits));
    }
  }

  private void seat(Sequence sequence) {
    int seat = freeSeats.removeFirst();
    sequence.takeSeat(seat);
    ledger.promise(sequence.mostTokens());
    store.openSeat(queue, seat, new SequenceIdentity("", sequence.id() + "#" + identities++));
  }

  private void prefillQuantum() {
    boolean othersWait = !decoding.isEmpty();
    long start = System.nanoTime();
    boolean finished;
    try {
      finished = prefill.advance();
    } catch (TierException e) {
      failFor(e, prefilling);
      return;
    }
    prefilling.forEach(sequence -> sequence.prefilled(prefill.done(), prefill.total()));
    removeEnded();
    if (finished && !prefilling.isEmpty()) {
      totals.prompt(prefilling.getFirst().prompt().length);
      decoding.addAll(prefilling);
      List<Sequence> ready = List.copyOf(prefilling);
      prefilling.clear();
      ready.forEach(sequence -> advance(sequence, 0));
      removeEnded();
    }
    double share = settings.prefillShare();
    owedNanos = othersWait ? (System.nanoTime() - start) * (1 - share) / share : 0;
  }

  /**
   * Ends the sequence for which a tier had no room; the others go on. A prefill quantum or a step
   * that was interrupted so is done again without it.
   */
  private void failFor(TierException e, List<Sequence> sequences) {
    if (e.seat() == TierException.NO_SEAT) {
      throw e;
    }
    for (Sequence sequence : sequences) {
      if (sequence.seat() == e.seat()) {
        sequence.fail(new GenerationException(String.valueOf(e.getMessage()), e));
      }
    }
    removeEnded();
  }

  private void decodeStep() {
    describeStep();
    if (decoding.isEmpty()) {
      return;
    }
    StepFaults faults = step.run();
    totals.step();
    for (int row = 0; row < decoding.size(); row++) {
      Sequence sequence = decoding.get(row);
      int hits = step.counter(row, Selection.HITS_COUNTER);
      int dram = step.counter(row, Selection.DRAM_COUNTER);
      int nvme = step.counter(row, Selection.NVME_COUNTER);
      totals.row(hits, dram, nvme);
      sequence.usage().step(sequence.lastPosition() + 1, hits, dram, nvme);
      if (step.counter(row, Selection.FAULT_COUNTER) > 0) {
        StepFaults.Reason reason = faults.of(sequence.seat());
        sequence.fail(
            reason.cause() == null
                ? new GenerationException(reason.message())
                : new GenerationException(reason.message(), reason.cause()));
      } else {
        advance(sequence, row);
      }
    }
    removeEnded();
  }

  /** Describes the step of all decoding sequences, less those for which there is no room. */
  private void describeStep() {
    while (!decoding.isEmpty()) {
      step.clear();
      for (Sequence sequence : decoding) {
        step.add(
            sequence.lastToken(),
            sequence.lastPosition(),
            sequence.seat(),
            sequence.budget(),
            sequence.wantsLogits());
      }
      try {
        step.provide();
        return;
      } catch (TierException e) {
        failFor(e, decoding);
      }
    }
  }

  /** Takes the sequence's next token from row {@code row} of the output. */
  private void advance(Sequence sequence, int row) {
    if (sequence.wantsLogits()) {
      output.logits(row, chooser.logits());
    }
    totals.completion();
    sequence.advance(output.likeliest(row), chooser);
  }

  private void removeEnded() {
    for (int i = prefilling.size() - 1; i >= 0; i--) {
      if (prefilling.get(i).ended()) {
        prefill.withdraw(prefilling.get(i).seat());
        leave(prefilling.get(i));
        prefilling.remove(i);
      }
    }
    for (int i = decoding.size() - 1; i >= 0; i--) {
      if (decoding.get(i).ended()) {
        leave(decoding.get(i));
        decoding.remove(i);
      }
    }
  }

  /** Frees all that an ended sequence had, then tells its listener. */
  private void leave(Sequence sequence) {
    store.closeSeat(sequence.seat());
    freeSeats.addFirst(sequence.seat());
    ledger.release(sequence.mostTokens());
    requests.ended(sequence.usage().activeNanos());
    sequence.announce();
  }

  /**
   * Ends everything that runs or waits with what {@code end} does to it.
   *
   * @return what was ended, to be announced once everything is freed
   */
  List<Sequence> endAll(Consumer<Sequence> end) {
    List<Sequence> all = new ArrayList<>(requests.takeAll());
    all.addAll(prefilling);
    all.addAll(decoding);
    all.forEach(end);
    return all;
  }

  /** Leaves all seats and frees everything. */
  @Override
  public void close() {
    for (AutoCloseable resource : owned) {
      try {
        resource.close();
      } catch (Exception e) {
        LOG.log(System.Logger.Level.ERROR, "cannot free " + resource, e);
      }
    }
    owned.clear();
  }
}

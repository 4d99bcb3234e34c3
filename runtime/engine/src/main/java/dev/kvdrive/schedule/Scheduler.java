package dev.kvdrive.schedule;

import dev.kvdrive.decode.DecodeStep;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.meter.AccuracyMeter;
import dev.kvdrive.kv.policy.SelectionObserver;
import dev.kvdrive.kv.policy.SelectionTap;
import dev.kvdrive.kv.tier.Admission;
import dev.kvdrive.kv.tier.Reuse;
import dev.kvdrive.kv.tier.StepFaults;
import dev.kvdrive.kv.tier.TierException;
import dev.kvdrive.kv.tier.TierStatus;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.model.Model;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.prefill.ProjectionObserver;
import dev.kvdrive.prefill.PromptPrefill;
import dev.kvdrive.text.Tokenizer;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Continuous batching on the engine thread, and owner of everything the engine has on the device.
 * One {@link #turn}: end what was cancelled, admit what fits, run one prefill quantum if it is due,
 * run one decode step over all sequences that have their first token.
 *
 * <p>A prompt is prefilled once for all sequences of a group that go on from it. Several prompts
 * share prefill in turns ({@link PrefillTurns}): a much shorter one passes those that have begun.
 * While others decode, prefill gets {@code prefillShare} of the time: after each quantum, decode
 * steps run until they have had their share. None of that changes what is computed, only when.
 *
 * <p>Seats are given in the order of arrival, and to a short prompt out of order while an earlier
 * one is in prefill ({@link #admit}). Nobody waits for ever: who came first of all is the next to
 * get a seat, which the others give free when they end; once in prefill it has its share of the
 * work.
 */
final class Scheduler implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(Scheduler.class.getName());

  /** What a sequence waits for whose chunks find no frame. */
  private static final String ROOM = "room in DRAM: what is to leave is being written to NVMe";

  private static final int[] NO_PROMPT = {};

  /** How long the thread waits at once when all wait. */
  private static final long WAIT_MILLIS = 50;

  private final EngineSettings settings;
  private final EngineSizes sizes;

  /** Whether the log has said that writes of a day are spent. */
  private final AtomicBoolean shortageTold = new AtomicBoolean();

  private final RequestQueue requests;
  private final Totals totals;
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private final Queue queue;
  private final KvState kv;
  private final TieredStore store;
  private final StepOutput output;
  private final @Nullable SelectionTap tap;
  private final @Nullable AccuracyMeter meter;
  private final DecodeStep step;
  private final Prefill prefill;
  private final TokenChooser chooser;
  private final SequenceViews views;
  private final Deque<Integer> freeSeats = new ArrayDeque<>();
  private final List<Sequence> decoding = new ArrayList<>();

  /** Sequences that would decode if there were room in DRAM, or the chunks had come from NVMe. */
  private final List<Sequence> parked = new ArrayList<>();

  private final FetchPatience patience;
  private final PrefillTurns turns;
  private long identities;

  /** Not while the engine warms up with prompts of its own. */
  private boolean keepsPrompts;

  /**
   * Decode time that the last prefill quantum still owes to the sequences that waited for it,
   * whichever prompt it was of.
   */
  private double owedNanos;

  /**
   * Loads the model and allocates every tier.
   *
   * @param checkpoint called between the stages; what it throws ends the start
   * @throws RuntimeException if anything does not fit or fails; nothing stays allocated
   */
  Scheduler(
      Device device,
      Model model,
      Tokenizer tokenizer,
      EngineSettings settings,
      RequestQueue requests,
      Totals totals,
      Runnable checkpoint) {
    this.settings = settings;
    this.sizes = settings.sizes();
    this.requests = requests;
    this.totals = totals;
    try {
      queue = own(device.createQueue("engine"));
      Transformer transformer = own(Transformer.load(device, model, sizes, checkpoint));
      checkpoint.run();
      kv = own(KvState.allocate(device, queue, sizes, settings.calibration()));
      checkpoint.run();
      store = own(TieredStore.open(sizes, device, kv.layers(), kv.extents(), settings.nvme()));
      checkpoint.run();
      int vocabulary = Math.min(model.spec().vocabulary(), tokenizer.vocabularySize());
      output = own(new StepOutput(device, transformer, sizes.concurrency(), vocabulary));
      SelectionObserver observer = settings.observer();
      tap =
          observer == null ? null : own(new SelectionTap(device, kv.selection(), sizes, observer));
      double share = settings.decode().meterShare();
      meter =
          share > 0 && sizes.policy().selects()
              ? own(new AccuracyMeter(device, transformer.shape(), store, sizes, share))
              : null;
      step =
          own(
              new DecodeStep(
                  device,
                  queue,
                  transformer,
                  kv,
                  store,
                  output,
                  sizes,
                  settings.decode(),
                  meter,
                  tap));
      prefill =
          own(
              new Prefill(
                  device,
                  queue,
                  transformer,
                  kv,
                  store,
                  output,
                  sizes,
                  ProjectionObserver.NONE,
                  sizes.windows(),
                  tap));
      turns = new PrefillTurns(prefill);
      views = new SequenceViews(sizes, kv, store, queue);
      chooser = new TokenChooser(vocabulary);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    store.onProgress(requests::signal);
    patience = new FetchPatience(settings.decode().fetchTimeout());
    for (int seat = 0; seat < sizes.concurrency(); seat++) {
      freeSeats.add(seat);
    }
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /** State of DRAM and NVMe tier; any thread, until {@link #close}. */
  TierStatus tierStatus() {
    return store.status();
  }

  /**
   * Why a sequence of so many tokens would have to wait for a day, even alone; null if it need not.
   * Any thread, until {@link #close}.
   */
  @Nullable EngineBusyException refusal(int tokens) {
    Admission.Shortage shortage = store.admission().shortage(tokens);
    if (shortage == null) {
      return null;
    }
    if (!shortageTold.getAndSet(true)) {
      LOG.log(
          System.Logger.Level.WARNING, "a request of {0} tokens: {1}", tokens, shortage.message());
    }
    return new EngineBusyException(shortage.message(), shortage.until());
  }

  /**
   * Why the longest sequence would have to wait for a day, in the words of a {@link #refusal}; null
   * if it need not. Any thread, until {@link #close}.
   */
  @Nullable String shortage() {
    Admission.Shortage shortage = store.admission().shortage(sizes.contextLength());
    if (shortage == null) {
      shortageTold.set(false);
    }
    return shortage == null ? null : shortage.message();
  }

  /** Why the tiers cannot go on in this process, or null; any thread, until {@link #close}. */
  @Nullable String brokenTier() {
    return store.broken();
  }

  /**
   * The engine ends: nothing of a turn under way waits for the disk any more. Any thread, until
   * {@link #close}.
   */
  void abandonIo() {
    store.abandonIo();
  }

  /** Whether {@link #close} had to keep memory because a read or write of it has not ended. */
  boolean stuck() {
    return store.stuck();
  }

  /**
   * What runs and waits, between two turns. The next step is timed, for the next view.
   *
   * @throws dev.kvdrive.device.DeviceException if the device has failed
   */
  EngineView view() {
    List<Sequence> seated = seated();
    List<PrefillTurns.Turn> inTurns = turns.all();
    inTurns.forEach(turn -> seated.addAll(turn.sequences()));
    seated.sort(Comparator.comparingInt(Sequence::seat));
    step.time();
    return views.view(
        seated,
        this::stalledFor,
        requests.firstWaiting(SequenceViews.MOST_SEQUENCES),
        requests.waiting(),
        !freeSeats.isEmpty());
  }

  private @Nullable String stalledFor(Sequence sequence) {
    if (parked.contains(sequence)) {
      return sequence.timesLate() > 0 ? "chunks that are read from NVMe" : ROOM;
    }
    return turns.all().stream()
            .anyMatch(turn -> turn.waits() && turn.sequences().contains(sequence))
        ? ROOM
        : null;
  }

  /** Forgets what was before the engine was ready. */
  void forgetWarmUp() {
    keepsPrompts = settings.scheduling().keepsPrompts();
    views.forget();
    step.forgetTrials();
  }

  /** Whether anything runs or can be started at once. */
  boolean idle() {
    return decoding.isEmpty() && parked.isEmpty() && turns.isEmpty();
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
    resume();
    if (decoding.isEmpty()) {
      owedNanos = 0;
    }
    boolean worked = false;
    PrefillTurns.Turn turn = owedNanos <= 0 ? turns.next() : null;
    if (turn != null) {
      prefillQuantum(turn);
      worked = true;
    }
    if (!decoding.isEmpty()) {
      long start = System.nanoTime();
      decodeStep();
      long nanos = System.nanoTime() - start;
      requests.speeds().step(nanos);
      owedNanos -= nanos;
      worked = true;
    }
    if (!worked && !idle()) {
      awaitProgress();
    }
    return true;
  }

  private void park(Sequence sequence, boolean waits) {
    if (waits) {
      parked.add(sequence);
    } else {
      parked.remove(sequence);
    }
    sequence.stalls(waits);
  }

  /** Waits for the disk, a request or a cancellation; a while at most, since patience ends. */
  private void awaitProgress() {
    try {
      requests.awaitSignal(WAIT_MILLIS);
    } catch (InterruptedException e) {
      throw new IllegalStateException("the engine thread was interrupted", e);
    }
  }

  /** Lets those go on that need not wait any more, and ends those that waited in vain. */
  private void resume() {
    for (Sequence sequence : List.copyOf(parked)) {
      if (goesOn(sequence, null)) {
        park(sequence, false);
        decoding.add(sequence);
      }
    }
    for (PrefillTurns.Turn turn : List.copyOf(turns.all())) {
      if (turn.waits()
          && List.copyOf(turn.sequences()).stream().allMatch(each -> goesOn(each, turn))) {
        turn.waits(false);
        turn.sequences().forEach(sequence -> sequence.stalls(false));
      }
    }
    removeEnded();
  }

  /**
   * Whether a sequence neither waits nor has ended.
   *
   * @param turn its turn, if its prompt is being read
   */
  private boolean goesOn(Sequence sequence, PrefillTurns.@Nullable Turn turn) {
    try {
      return !sequence.ended() && !store.waits(queue, sequence.seat());
    } catch (TierException e) {
      if (turn == null || !recompute(turn, e)) {
        fail(sequence, String.valueOf(e.getMessage()), e);
      }
      return false;
    }
  }

  /**
   * What a prompt was to reuse does not come: begins it again without, and nobody finds that any
   * more.
   *
   * @return false if that is not why it failed, or there is no room to begin again
   */
  private boolean recompute(PrefillTurns.Turn turn, TierException e) {
    PromptPrefill prompt = turn.prompt();
    if (!prompt.recalls() || requests.stopping() || e.seat() == TierException.NO_SEAT) {
      return false;
    }
    LOG.log(
        System.Logger.Level.WARNING,
        "what was kept of a prompt is of no use, all of it is computed: {0}",
        e.getMessage());
    store.spoil(e.seat());
    List<Sequence> sequences = turn.sequences();
    for (Sequence sequence : sequences) {
      store.closeSeat(sequence.seat());
      kv.windows().close(queue, sequence.seat());
    }
    prefill.end(prompt);
    for (Sequence sequence : sequences) {
      boolean fits = hasRoom(sequence, Reuse.NONE);
      open(sequence, Reuse.NONE);
      if (!fits) {
        fail(sequence, String.valueOf(e.getMessage()), e);
      }
    }
    turns.remove(turn);
    turns.add(new PrefillTurns.Turn(beginPrefill(sequences, Reuse.NONE), sequences));
    return true;
  }

  private void endCancelled() {
    for (Sequence sequence : requests.takeCancelled()) {
      sequence.finish(FinishReason.CANCELLED);
      sequence.announce();
    }
    for (PrefillTurns.Turn turn : turns.all()) {
      for (Sequence sequence : turn.sequences()) {
        if (sequence.cancelled()) {
          sequence.finish(FinishReason.CANCELLED);
        }
      }
    }
    for (Sequence sequence : seated()) {
      if (sequence.cancelled()) {
        sequence.finish(FinishReason.CANCELLED);
      }
    }
    removeEnded();
  }

  /** All that have their first token. */
  private List<Sequence> seated() {
    List<Sequence> all = new ArrayList<>(decoding);
    all.addAll(parked);
    return all;
  }

  /**
   * Starts the prefill of what is next to run, together with what shares it, as long as there is
   * room. That is who came first of all; while that one is in prefill already, the shortest prompt
   * that may pass all in prefill. The last free seat is passed to short prompts only, so that long
   * ones never keep all seats by waiting for prefill.
   */
  private void admit() {
    while (!freeSeats.isEmpty()) {
      Sequence waiting = requests.first();
      PrefillTurns.Turn first = turns.first();
      if (waiting == null) {
        return;
      }
      if (first == null || waiting.arrival() < first.arrival()) {
        EngineBusyException refusal = refusal(waiting.mostTokens());
        Reuse reuse = find(waiting);
        if (refusal != null) {
          waiting.fail(refusal);
        } else if (hasRoom(waiting, reuse)) {
          begin(requests.sharing(waiting), false);
          continue;
        } else if (waiting.obstacle() == null) {
          String obstacle = obstacle(waiting, reuse);
          LOG.log(System.Logger.Level.INFO, "request {0} waits: {1}", waiting.id(), obstacle);
          waiting.waitsFor(obstacle);
        }
        if (!waiting.ended()) {
          return;
        }
        requests.withdraw(waiting);
        waiting.announce();
      } else {
        Sequence passing = requests.shortest(this::mayPass);
        if (passing == null) {
          return;
        }
        begin(requests.sharing(passing), true);
      }
    }
  }

  private boolean mayPass(Sequence sequence) {
    if (!mayTakeSeat(sequence)) {
      return false;
    }
    Reuse reuse = find(sequence);
    return turns.mayPass(sequence.prompt().length, reuse.tokens()) && hasRoom(sequence, reuse);
  }

  /** What a sequence finds of its prompt; who waits is asked in every turn. */
  private Reuse find(Sequence sequence) {
    if (!keepsPrompts) {
      return Reuse.NONE;
    }
    long until = store.foundUntil();
    Reuse found = sequence.found(until);
    if (found == null) {
      found = store.find(sequence.request().tenant(), sequence.prompt());
      sequence.found(found, until);
    }
    return found;
  }

  private boolean hasRoom(Sequence sequence, Reuse reuse) {
    return store.admission().hasRoomFor(sequence.mostTokens(), reuse)
        && prefill.fits(sequence.prompt().length, reuse.tokens());
  }

  private String obstacle(Sequence sequence, Reuse reuse) {
    return store.admission().hasRoomFor(sequence.mostTokens(), reuse)
        ? "%d prompt tokens do not fit into host memory beside the prompts that are being read; it begins when one of them is read"
            .formatted(sequence.prompt().length)
        : store.admission().obstacle(sequence.mostTokens(), reuse);
  }

  /** Whether a prompt that passes others may take a free seat. */
  private boolean mayTakeSeat(Sequence sequence) {
    return freeSeats.size() > 1 || sequence.prompt().length <= sizes.shortPrompt();
  }

  /** Starts the prefill of the first sequence and of those that follow as far as there is room. */
  private void begin(List<Sequence> sharing, boolean passing) {
    List<Sequence> admitted = new ArrayList<>();
    Reuse first = Reuse.NONE;
    for (Sequence sequence : sharing) {
      // The same for all, but for how much of it is in seats.
      Reuse reuse = find(sequence);
      if (freeSeats.isEmpty()
          || !store.admission().hasRoomFor(sequence.mostTokens(), reuse)
          || (passing && !mayTakeSeat(sequence))) {
        break;
      }
      requests.admit(sequence);
      seat(sequence, reuse);
      first = admitted.isEmpty() ? reuse : first;
      admitted.add(sequence);
    }
    turns.add(new PrefillTurns.Turn(beginPrefill(admitted, first), admitted));
  }

  private PromptPrefill beginPrefill(List<Sequence> sequences, Reuse reuse) {
    sequences.forEach(sequence -> sequence.usage().reused(reuse.tokens()));
    return prefill.begin(
        sequences.getFirst().prompt(),
        sequences.stream().map(Sequence::seat).toList(),
        sequences.stream().map(Sequence::budget).toList(),
        sequences.stream().anyMatch(sequence -> sequence.wantsLogits(true)),
        reuse);
  }

  /** Opens the seat that a sequence has. */
  private void open(Sequence sequence, Reuse reuse) {
    store.openSeat(
        queue,
        sequence.seat(),
        new SequenceIdentity(sequence.request().tenant(), sequence.id() + "#" + identities++),
        sequence.mostTokens(),
        keepsPrompts ? sequence.prompt() : NO_PROMPT,
        reuse);
  }

  private void seat(Sequence sequence, Reuse reuse) {
    int seat = freeSeats.removeFirst();
    sequence.takeSeat(seat, () -> store.writtenBytes(seat));
    open(sequence, reuse);
    if (tap != null) {
      tap.observer().opened(seat, sequence.budget());
    }
  }

  private void prefillQuantum(PrefillTurns.Turn turn) {
    boolean othersWait = !decoding.isEmpty();
    long start = System.nanoTime();
    PromptPrefill prompt = turn.prompt();
    double work = prompt.nextQuantum();
    long before = prompt.computed();
    Prefill.Progress progress;
    try {
      progress = prefill.advance(prompt);
    } catch (TierException e) {
      if (!recompute(turn, e)) {
        failFor(e, turn.sequences());
      }
      removeEnded();
      return;
    }
    if (progress == Prefill.Progress.WAITS) {
      turn.waits(true);
      turn.sequences().forEach(sequence -> sequence.stalls(true));
      return;
    }
    turns.ran(turn, work);
    double computed = (double) (prompt.computed() - before) / sizes.layout().layers();
    requests.speeds().prefilled(computed, System.nanoTime() - start);
    turn.sequences().forEach(sequence -> sequence.prefilled(prompt.done(), prompt.total()));
    removeEnded();
    if (progress == Prefill.Progress.FINISHED && !turn.sequences().isEmpty()) {
      totals.prompt(prompt.tokens(), prompt.reused());
      turns.remove(turn);
      prefill.end(prompt);
      turn.sequences().forEach(sequence -> store.promptRead(sequence.seat()));
      decoding.addAll(turn.sequences());
      turn.sequences().forEach(sequence -> advance(sequence, 0));
      removeEnded();
    }
    double wanted = settings.scheduling().prefillShare();
    owedNanos = othersWait ? (System.nanoTime() - start) * (1 - wanted) / wanted : 0;
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
        fail(sequence, String.valueOf(e.getMessage()), e);
      }
    }
    removeEnded();
  }

  /**
   * Ends a sequence that the tiers failed; a tier that gave up since the engine is closing is no
   * failure of the sequence's.
   */
  private void fail(Sequence sequence, String message, @Nullable Throwable cause) {
    if (requests.stopping()) {
      sequence.finish(FinishReason.CANCELLED);
    } else {
      sequence.fail(
          cause == null ? new StorageException(message) : new StorageException(message, cause));
    }
  }

  private void decodeStep() {
    describeStep();
    if (decoding.isEmpty()) {
      return;
    }
    long start = System.nanoTime();
    StepFaults faults = step.run(patience.of(decoding));
    measured(System.nanoTime() - start);
    totals.step();
    DecodeStep.Times timed = step.times();
    boolean fromNvme = false;
    SelectedChunks ofStep = SelectedChunks.NONE;
    List<Sequence> rows = List.copyOf(decoding);
    long fromNvmeNanos = step.nvmeNanos();
    for (int row = 0; row < rows.size(); row++) {
      Sequence sequence = rows.get(row);
      sequence.usage().fetched(fromNvmeNanos);
      boolean faulty = step.counter(row, Selection.FAULT_COUNTER) > 0;
      if (faulty && faults.repeats(sequence.seat())) {
        sequence.late();
        decoding.remove(sequence);
        park(sequence, true);
        continue;
      }
      int hits = step.counter(row, Selection.HITS_COUNTER);
      int dram = step.counter(row, Selection.DRAM_COUNTER);
      int nvme = step.counter(row, Selection.NVME_COUNTER);
      fromNvme |= nvme > 0;
      SelectedChunks selected =
          new SelectedChunks(
              hits,
              dram,
              nvme,
              step.prefetched(row),
              step.counter(row, Selection.PREFETCHED_COUNTER));
      StepTokens tokens = StepTokens.of(sizes.layout().grid(), sequence.lastPosition() + 1);
      totals.row(tokens, selected);
      ofStep = timed == null ? ofStep : ofStep.plus(selected);
      sequence.usage().step(tokens, selected);
      kv.windows().selected(sequence.seat());
      if (faulty) {
        StepFaults.Reason reason = faults.of(sequence.seat());
        fail(sequence, reason.message(), reason.cause());
      } else {
        advance(sequence, row);
      }
    }
    if (timed != null) {
      views.timed(totals.steps(), rows.size(), timed, ofStep);
    }
    kv.windows().stepped(queue);
    if (tap != null) {
      tap.observer().stepped();
    }
    patience.ran(!faults.late().isEmpty(), fromNvme);
    removeEnded();
  }

  /** Has computed what was measured in the step that has ended, if anything was. */
  private void measured(long nanos) {
    if (meter != null) {
      boolean worthless = step.counter(meter.row(), Selection.FAULT_COUNTER) > 0;
      meter
          .end(nanos, worthless)
          .ifPresent(
              sample -> {
                totals.measured(sample);
                decoding.get(sample.row()).usage().measured(sample);
              });
    }
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
            sequence.mayMiss(),
            sequence.wantsLogits(false));
        sequence.sample(step, output.multiplier());
      }
      try {
        Set<Integer> without = step.provide();
        if (without.isEmpty()) {
          return;
        }
        for (Sequence sequence : List.copyOf(decoding)) {
          if (without.contains(sequence.seat())) {
            decoding.remove(sequence);
            park(sequence, true);
          }
        }
      } catch (TierException e) {
        failFor(e, decoding);
      }
    }
  }

  /** Takes the sequence's next token from row {@code row} of the output. */
  private void advance(Sequence sequence, int row) {
    if (sequence.wantsLogits(sequence.answered() == 0)) {
      output.logits(row, chooser.logits());
    }
    totals.completion();
    sequence.advance(output.chosen(row), chooser);
  }

  private void removeEnded() {
    for (PrefillTurns.Turn turn : List.copyOf(turns.all())) {
      List<Sequence> sequences = turn.sequences();
      for (int i = sequences.size() - 1; i >= 0; i--) {
        if (sequences.get(i).ended()) {
          Sequence ended = sequences.remove(i);
          turn.prompt().withdraw(ended.seat());
          if (sequences.isEmpty()) {
            turns.remove(turn);
            prefill.end(turn.prompt());
          }
          leave(ended);
        }
      }
    }
    for (Sequence sequence : seated()) {
      if (sequence.ended()) {
        leave(sequence);
        decoding.remove(sequence);
        parked.remove(sequence);
      }
    }
  }

  /** Frees all that an ended sequence had, then tells its listener. */
  private void leave(Sequence sequence) {
    views.ended(sequence);
    store.closeSeat(sequence.seat());
    kv.windows().close(queue, sequence.seat());
    if (tap != null) {
      tap.observer().closed(sequence.seat());
    }
    freeSeats.addFirst(sequence.seat());
    requests.ended(sequence);
    if (!sequence.cancelled()) {
      requests.speeds().answered(sequence.usage().completionTokens());
    }
    sequence.announce();
  }

  /**
   * Ends everything that runs or waits with what {@code end} does to it.
   *
   * @return what was ended, to be announced once everything is freed
   */
  List<Sequence> endAll(Consumer<Sequence> end) {
    List<Sequence> all = new ArrayList<>(requests.takeAll());
    turns.all().forEach(turn -> all.addAll(turn.sequences()));
    all.addAll(seated());
    all.forEach(end);
    return all;
  }

  /** Leaves all seats and frees everything, but what is {@link #stuck}. */
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

package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.schedule.SequenceStatus.State;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What somebody who watches an engine sees of its sequences. */
public abstract class ViewConformance extends EngineTest {
  private static final int PROMPT = 150;
  private static final int ANSWER = 40;

  private EngineSizes sizes;
  private RequestQueue requests;
  private Scheduler scheduler;

  private final List<Scheduler> opened = new ArrayList<>();

  private void open(EngineShape shape) {
    closeSchedulers();
    EngineSettings settings = settings(shape);
    sizes = settings.sizes();
    requests = new RequestQueue(settings.scheduling(), sizes.concurrency());
    scheduler = new Scheduler(device, model, tokenizer, settings, requests, new Totals(), () -> {});
    opened.add(scheduler);
  }

  @BeforeEach
  void openOne() {
    open(EngineShape.tight(0.5).withSeats(1));
  }

  @AfterEach
  void closeSchedulers() {
    opened.forEach(Scheduler::close);
    opened.clear();
  }

  private Recorder submit(String id, int prompt, int answer) {
    Recorder recorder = new Recorder();
    requests.add(
        List.of(
            new Sequence(
                request(id, prompt, answer), recorder, tokenizer, sizes, requests::signal)));
    return recorder;
  }

  private void turnUntil(Recorder recorder, int tokens) {
    while (recorder.tokens().size() < tokens) {
      assertThat(scheduler.turn()).isTrue();
    }
  }

  private void finish() {
    while (scheduler.turn()) {
      // on
    }
  }

  @Test
  void everyByteOfASequenceIsInTheTierThatItIsCountedIn() {
    open(EngineShape.tight(0.5).withSeats(1).withWindow(12, 12));
    turnUntil(submit("a", PROMPT, ANSWER), ANSWER - 1);
    EngineView view = scheduler.view();
    assertThat(view.sequences()).hasSize(1);
    SequenceStatus sequence = view.sequences().getFirst();
    assertThat(sequence.id()).isEqualTo("a");
    assertThat(sequence.state()).isIn(State.DECODING, State.STALLED);
    assertThat(sequence.promptTokens()).isEqualTo(PROMPT);
    assertThat(sequence.promptRead()).isEqualTo(1);
    assertThat(sequence.mostTokens()).isEqualTo(PROMPT + ANSWER);
    assertThat(sequence.usage().completionTokens()).isEqualTo(ANSWER - 1);

    KvLayout layout = sizes.layout();
    SequenceStatus.Held held = sequence.held();
    assertThat(held.dramBytes()).isPositive().isEqualTo(scheduler.tierStatus().dramKvBytes());
    assertThat(held.nvmeBytes()).isPositive().isEqualTo(scheduler.tierStatus().nvmeKvBytes());
    assertThat(held.dramBytes() + held.nvmeBytes() - held.copiedBytes())
        .as("every extent, once, of all tokens but the one that is yet to be appended")
        .isEqualTo(sizes.extents(PROMPT + ANSWER - 2) * layout.extentBytes());
    assertThat(held.windowBytes())
        .isEqualTo(layout.heads() * sizes.windowSlots() * layout.resident().bytes());
    assertThat(held.residentBytes())
        .as("more was selected than windows have slots")
        .isEqualTo(held.windowBytes());
    assertThat(held.fixedBytes()).isPositive();

    SequenceStatus.Places places = held.places();
    assertThat(places.tokens()).isEqualTo(PROMPT + ANSWER - 1);
    assertThat(places.window()).hasSameSizeAs(places.dram()).hasSameSizeAs(places.nvme());
    for (int piece = 0; piece < places.dram().size(); piece++) {
      assertThat(places.dram().get(piece) + places.nvme().get(piece))
          .as("piece %d is in DRAM or on NVMe; both are rounded up", piece)
          .isBetween(1000, 1001);
    }
    assertThat(Collections.max(places.window())).isPositive();
    finish();
    assertThat(scheduler.view().sequences()).isEmpty();
  }

  @Test
  void aPromptThatIsReadFillsItsTiersLayerByLayer() {
    open(EngineShape.roomy(0.5).withBlock(16));
    submit("a", PROMPT, 2);
    List<SequenceStatus> reading = new ArrayList<>();
    while (scheduler.turn()) {
      reading.addAll(
          scheduler.view().sequences().stream().filter(s -> s.state() == State.READING).toList());
    }
    assertThat(reading).hasSizeGreaterThan(2);
    assertThat(reading).extracting(SequenceStatus::promptRead).isSorted();
    assertThat(reading).extracting(s -> s.held().dramBytes()).isSorted();
    assertThat(reading.getFirst().held().dramBytes())
        .isLessThan(reading.getLast().held().dramBytes());
  }

  @Test
  void whoWaitsForASeatSaysSo() {
    open(EngineShape.roomy(0.5).withSeats(1));
    Recorder first = submit("first", 100, 4);
    submit("second", 50, 4);
    turnUntil(first, 2);
    EngineView view = scheduler.view();
    assertThat(view.sequences()).extracting(SequenceStatus::id).containsExactly("first", "second");
    SequenceStatus waiting = view.sequences().getLast();
    assertThat(waiting.state()).isEqualTo(State.WAITING);
    assertThat(waiting.waitsFor()).isEqualTo("a seat: all 1 are taken");
    assertThat(waiting.held()).isEqualTo(SequenceStatus.Held.NOTHING);
    assertThat(waiting.usage().promptTokens()).isEqualTo(50);
    finish();
  }

  @Test
  void aLongQueueIsShownFromItsHead() {
    int more = 5;
    open(EngineShape.roomy(0.5).withSeats(1).withQueueLimit(SequenceViews.MOST_SEQUENCES + more));
    Recorder first = submit("first", 20, 3);
    turnUntil(first, 1);
    for (int i = 0; i < SequenceViews.MOST_SEQUENCES + more; i++) {
      submit("waits " + i, 20, 1);
    }
    EngineView view = scheduler.view();
    assertThat(view.sequences()).hasSize(1 + SequenceViews.MOST_SEQUENCES);
    assertThat(view.sequences().get(1).id()).isEqualTo("waits 0");
    assertThat(view.unseen()).isEqualTo(more);
    finish();
    assertThat(scheduler.view().ended()).hasSize(SequenceViews.MOST_ENDED);
  }

  @Test
  void whoHasEndedTookWhatTheRequestWasTold() {
    Recorder first = submit("first", PROMPT, 4);
    Recorder second = submit("second", 50, 4);
    finish();
    List<SequenceStatus> ended = scheduler.view().ended();
    assertThat(ended).extracting(SequenceStatus::id).containsExactly("second", "first");
    assertThat(ended).extracting(SequenceStatus::state).containsOnly(State.ENDED);
    assertThat(ended.getFirst().usage()).isEqualTo(second.finish().usage());
    assertThat(ended.getLast().usage()).isEqualTo(first.finish().usage());
    assertThat(ended.getLast().usage().nvmeWrittenBytes()).isPositive();
    assertThat(ended.getLast().held()).isEqualTo(SequenceStatus.Held.NOTHING);
  }

  @Test
  void theStagesOfATimedStepAreAllOfIt() {
    open(EngineShape.tight(0.5).withSeats(1).with(2, true));
    Recorder recorder = submit("a", PROMPT, ANSWER);
    turnUntil(recorder, 3);
    assertThat(scheduler.view().step()).as("nobody had asked").isNull();
    turnUntil(recorder, 10);
    TimedStep step = Objects.requireNonNull(scheduler.view().step());
    assertThat(step.number()).as("the first step after somebody asked").isEqualTo(3);
    assertThat(step.sequences()).isEqualTo(1);
    assertThat(step.stageNanos().keySet())
        .containsExactly(
            "project",
            "append",
            "select",
            "fetch",
            "estimate",
            "attend",
            "mlp",
            "prefetch",
            "logits");
    assertThat(step.stageNanos().get("attend")).isPositive();
    assertThat(step.stageNanos().values()).allMatch(nanos -> nanos >= 0);
    assertThat(step.stageNanos().values().stream().mapToLong(Long::longValue).sum())
        .as("no time is counted twice")
        .isPositive()
        .isLessThanOrEqualTo(step.nanos());
    assertThat(step.hits() + step.dramMisses() + step.nvmeMisses()).isPositive();
    finish();
  }

  /** Invariant 1 holds for those who are watched too. */
  @Test
  void theTokensAreTheSameWhetherSomebodyWatchesOrNot() {
    open(EngineShape.tight(0.5).withSeats(1).with(2, true));
    Recorder alone = submit("a", PROMPT, ANSWER);
    finish();
    Recorder watched = submit("a", PROMPT, ANSWER);
    do {
      scheduler.view();
    } while (scheduler.turn());
    assertThat(watched.checked().ids()).hasSize(ANSWER).isEqualTo(alone.checked().ids());
  }

  @Test
  void anEngineIsViewedOnlyForWhoAsks() {
    closeSchedulers();
    KvDriveEngine engine = start(EngineShape.tight(0.5));
    Recorder recorder = new Recorder();
    engine.submit(request("a", PROMPT, ANSWER), recorder);
    recorder.await();
    assertThat(engine.view()).as("before the first").isEqualTo(EngineView.NONE);
    // An idle engine is woken by who asks.
    await().untilAsserted(() -> assertThat(engine.view().number()).isGreaterThan(1));
    assertThat(engine.view().ended()).extracting(SequenceStatus::id).containsExactly("a");
  }
}

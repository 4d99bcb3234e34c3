package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.kv.tier.FaultyFiles;
import dev.kvdrive.kv.tier.SetClock;
import dev.kvdrive.kv.tier.TierStatus;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.NvmeEncryption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Who runs when, turn by turn: the scheduler without its thread, so that nothing here depends on
 * time.
 */
public abstract class SchedulingConformance extends EngineTest {
  /** A share at which every turn has a prefill quantum and a decode step. */
  private static final double PREFILL_EVERY_TURN = 1 - 1e-12;

  /** A share at which nothing is prefilled while anything decodes. */
  private static final double PREFILL_LAST = 1e-12;

  /** Random lives of an engine, by the same property as the combinations of sizes. */
  private static final int LIVES = Integer.getInteger("kvdrive.combinations", 8);

  private Scheduler scheduler;
  private RequestQueue requests;
  private EngineSizes sizes;
  private final SetClock clock = new SetClock();
  private final List<Scheduler> opened = new ArrayList<>();

  private void open(EngineShape shape) {
    open(settings(shape));
  }

  private void open(EngineSettings settings) {
    closeSchedulers();
    sizes = settings.sizes();
    requests = new RequestQueue(settings.scheduling(), sizes.concurrency());
    scheduler = new Scheduler(device, model, tokenizer, settings, requests, new Totals(), () -> {});
    opened.add(scheduler);
  }

  @BeforeEach
  void openOne() {
    open(settings(EngineShape.tight(1)));
  }

  @AfterEach
  void closeSchedulers() {
    opened.forEach(Scheduler::close);
    opened.clear();
  }

  private Sequence submit(GenerationRequest request, GenerationListener listener) {
    return submit(List.of(new Submission(request, listener))).getFirst();
  }

  private List<Sequence> submit(List<Submission> submissions) {
    List<Sequence> group = new ArrayList<>();
    for (Submission s : submissions) {
      group.add(new Sequence(s.request(), s.listener(), tokenizer, sizes, requests::signal));
    }
    requests.add(group);
    return group;
  }

  /** Turns until there is nothing to do. */
  private void finish() {
    while (scheduler.turn()) {
      // on
    }
  }

  /** Turns until a generation has said so many tokens. */
  private void turnUntil(Recorder recorder, int tokens) {
    while (recorder.tokens().size() < tokens) {
      assertThat(scheduler.turn()).isTrue();
    }
  }

  private long kvBytes() {
    return scheduler.tierStatus().dramKvBytes() + scheduler.tierStatus().nvmeKvBytes();
  }

  private EngineSettings prefillShare(EngineShape shape, double share) {
    return settings(shape).withScheduling(s -> s.withPrefillShare(share));
  }

  // --- admission ---

  @Test
  void requestsRunInTheOrderOfTheirArrivalAsSeatsBecomeFree() {
    open(EngineShape.tight(1).withSeats(2));
    List<String> order = new ArrayList<>();
    List<Recorder> recorders = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      String id = "request " + i;
      Recorder recorder = new Recorder();
      recorders.add(recorder);
      submit(
          request(id, 40 + 9 * i, 6),
          recorder.onToken(
              token -> {
                if (recorder.tokens().size() == 1) {
                  order.add(id);
                }
                assertThat(requests.active()).isLessThanOrEqualTo(2);
              }));
    }
    finish();
    recorders.forEach(r -> assertThat(r.checked().ids()).hasSize(6));
    assertThat(order)
        .containsExactly("request 0", "request 1", "request 2", "request 3", "request 4");
    assertThat(requests.active()).isZero();
  }

  @Test
  void theHintIsInWholeSecondsSoThatTextAndHeaderSayTheSame() {
    open(EngineShape.tight(1).withSeats(1).withQueueLimit(0));
    // 20 prompt tokens of 150 ms and 4 answer tokens of 300 ms are 4.2 s.
    requests.speeds().prefilled(100, 15_000_000_000L);
    requests.speeds().step(300_000_000);
    submit(request("b", 20, 4), new Recorder());
    assertThatThrownBy(() -> submit(request("c", 20, 4), new Recorder()))
        .isInstanceOfSatisfying(
            EngineBusyException.class,
            busy -> assertThat(busy.retryAfter()).isEqualTo(Duration.ofSeconds(5)))
        .hasMessageContaining("try again in about 5 s");
    finish();
  }

  @Test
  void theHintFollowsWhatRunsAndNotWhatHasEnded() {
    open(EngineShape.tight(1).withSeats(1).withQueueLimit(0));
    requests.speeds().prefilled(1000, 2_000_000_000L);
    requests.speeds().step(1_000_000_000L);
    Recorder recorder = new Recorder();
    submit(request("long", 20, 100), recorder);
    assertThat(hint(request("refused", 20, 4))).isBetween(100L, 101L);
    while (recorder.tokens().size() < 10) {
      scheduler.turn();
    }
    assertThat(hint(request("refused", 20, 4))).isLessThan(100);
    finish();
    submit(request("short", 20, 2), new Recorder());
    assertThat(hint(request("refused", 20, 4))).isLessThan(3);
    finish();
  }

  private long hint(GenerationRequest refused) {
    try {
      submit(refused, new Recorder());
    } catch (EngineBusyException busy) {
      return busy.retryAfter().toSeconds();
    }
    throw new AssertionError("it was not refused");
  }

  @Test
  void aFullQueueRefusesWithTheNumbersAndAHintAndTakesAgainLater() {
    open(EngineShape.tight(1).withSeats(2).withQueueLimit(1));
    Recorder first = new Recorder();
    submit(request("a", 20, 4), first);
    submit(request("b", 20, 40), new Recorder());
    submit(request("c", 20, 4), new Recorder());
    assertThatThrownBy(() -> submit(request("d", 20, 4), new Recorder()))
        .isInstanceOfSatisfying(
            EngineBusyException.class, busy -> assertThat(busy.retryAfter()).isPositive())
        .hasMessageContaining("2 seats")
        .hasMessageContaining("1 of 1 places");
    while (!first.ended()) {
      scheduler.turn();
    }
    Recorder later = new Recorder();
    submit(request("d", 20, 4), later);
    finish();
    assertThat(later.finish().reason()).isEqualTo(FinishReason.LENGTH);
  }

  @Test
  void withoutAQueueARequestRunsAtOnceOrIsRefused() {
    open(EngineShape.tight(1).withSeats(1).withQueueLimit(0));
    Recorder first = new Recorder();
    AtomicBoolean taken = new AtomicBoolean();
    Recorder second = new Recorder();
    // Who is told of the end finds the seat free.
    submit(
        request("first", 100, 4),
        first.onEnd(
            () -> {
              assertThat(kvBytes()).isZero();
              submit(request("second", 100, 4), second);
              taken.set(true);
            }));
    assertThatThrownBy(() -> submit(request("refused", 10, 4), new Recorder()))
        .isInstanceOf(EngineBusyException.class);
    finish();
    assertThat(taken).isTrue();
    assertThat(second.finish().reason()).isEqualTo(FinishReason.LENGTH);
  }

  @Test
  void aSequenceWaitsUntilAllItCanNeedFitsTheTiers() {
    // Room for the extents of one long sequence, and those of a short one.
    open(scarce(EngineShape.tight(1), sizes.extents(250) + sizes.extents(100)));
    Recorder first = new Recorder();
    Recorder second = new Recorder();
    Recorder third = new Recorder();
    submit(request("first", 200, 50), first);
    submit(
        request("second", 200, 50),
        second.onPrefill(() -> assertThat(first.ended()).as("the first has ended").isTrue()));
    submit(request("third", 60, 40), third);
    assertThat(requests.occupancy().withoutRoom()).as("nobody has looked yet").isZero();
    boolean lacked = false;
    while (scheduler.turn()) {
      lacked |= requests.occupancy().withoutRoom() > 0;
    }
    assertThat(lacked).isTrue();
    finish();
    assertThat(requests.occupancy().withoutRoom()).isZero();
    for (Recorder recorder : List.of(first, second, third)) {
      recorder.checked().finish();
    }
    assertThat(third.ids()).hasSize(40);
  }

  /** Settings whose tiers hold so many extents together. */
  private EngineSettings scarce(EngineShape shape, long extents) {
    return sized(shape, settings(shape).sizes().shortPrompt(), extents);
  }

  private EngineSettings sized(EngineShape shape, int shortPrompt, long extents) {
    EngineSettings settings = settings(shape);
    EngineSizes all = settings.sizes();
    EngineSizes scarce =
        new EngineSizes(
            all.geometry(),
            all.layout(),
            all.load(),
            all.attention(),
            all.activationBytes(),
            all.windowSlots(),
            all.passChunks(),
            all.prefillBlock(),
            shortPrompt,
            all.dramFrames(),
            extents - all.dramFrames(),
            NvmeEncryption.NONE);
    return settings.withSizes(scarce);
  }

  private static List<GenerationRequest> ofAllLengths() {
    return List.of(
        request("short", prompt(1, 30), random(1), 50),
        request("middle", prompt(2, 110), random(2), 40),
        request("long", prompt(3, 215), random(3), 30));
  }

  /** What each is answered when there is no other. */
  private List<List<GeneratedToken>> alone(List<GenerationRequest> requests) {
    List<List<GeneratedToken>> answers = new ArrayList<>();
    for (GenerationRequest request : requests) {
      Recorder recorder = new Recorder();
      submit(request, recorder);
      finish();
      answers.add(recorder.tokens());
    }
    return answers;
  }

  @Test
  void noAdmittedSequenceEverRunsOutOfRoomWhateverComesAndGoes() {
    List<GenerationRequest> requests = ofAllLengths();
    List<List<GeneratedToken>> alone = alone(requests);
    for (int seed = 0; seed < LIVES; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      EngineShape shape =
          EngineShape.tight(1)
              .withSeats(2 + seed % 3)
              .withExtents(1 + random.nextInt(3))
              .withBlock(20 + random.nextInt(100))
              .withFrames(random.nextInt(12))
              .withQueueLimit(100);
      EngineSizes sizes = settings(shape).sizes();
      // As scarce as a plan may make it: the longest sequence, and perhaps a little more.
      long most = Math.max(sizes.extents(256), sizes.dramFrames());
      open(scarce(shape, most + random.nextInt((int) sizes.extents(150))));
      liveAtRandom(random, requests, alone);
      assertThat(kvBytes()).as("seed %d", seed).isZero();
      assertThat(this.requests.active()).isZero();
    }
  }

  // --- what may be written to NVMe in a day ---

  /** Settings with the writes of a day that so many sequences of 250 tokens take. */
  private EngineSettings limited(EngineShape shape, double sequences) {
    EngineSettings usual = settings(shape);
    long bytes = writes(usual.sizes(), 250, sequences);
    return usual.withNvme(nvme -> nvme.withWritesPerDay(bytes, clock));
  }

  @Test
  void whatNeedsNvmeIsRefusedForTheRestOfTheDayAndTheOthersAreAnswered() {
    EngineShape shape = EngineShape.tight(1).withFrames(20);
    open(limited(shape, 1.2));
    Recorder first = new Recorder();
    Recorder tooLate = new Recorder();
    Recorder small = new Recorder();
    submit(request("the same", 200, 50), first);
    submit(request("the same", 200, 50), tooLate);
    submit(request("short", 30, 20), small);
    finish();
    assertThat(first.checked().ids()).hasSize(50);
    assertThat(small.checked().ids()).hasSize(20);
    assertThat(tooLate.error())
        .isInstanceOfSatisfying(
            EngineBusyException.class,
            busy -> assertThat(busy.retryAfter()).isEqualTo(Duration.ofMinutes(24 * 60 + 30)))
        .hasMessageMatching(
            ".* may be written in 24 hours; try again after \\d{4}-\\d\\d-\\d\\dT\\d\\d:00:00Z, .*");

    // The volume knows it after a restart, and another day begins.
    open(limited(shape, 1.2));
    assertThat(scheduler.refusal(250)).isNotNull();
    assertThat(scheduler.refusal(50)).isNull();
    clock.pass(Duration.ofHours(25));
    assertThat(scheduler.refusal(250)).isNull();
    Recorder nextDay = new Recorder();
    submit(request("the same", 200, 50), nextDay);
    finish();
    assertSame("on the next day", nextDay.checked().tokens(), first.tokens());
  }

  @Test
  void whoFitsDramWhenAnotherHasEndedWaitsForThat() {
    EngineShape shape = EngineShape.tight(1).withSeats(2).withQueueLimit(0);
    long own = settings(shape).sizes().extents(200);
    open(limited(shape.withFrames((int) own), 0.01));
    assertThat(sizes.extents(200)).isLessThanOrEqualTo(sizes.dramFrames());
    assertThat(2 * sizes.extents(200)).isGreaterThan(sizes.dramFrames());
    Recorder first = new Recorder();
    Recorder second = new Recorder();
    submit(request("first", 170, 30), first);
    submit(
        request("second", 170, 30),
        second.onPrefill(() -> assertThat(first.ended()).as("the first has ended").isTrue()));
    while (first.ids().length == 0) {
      scheduler.turn();
    }
    scheduler.turn();
    assertThat(first.waited()).isNull();
    assertThat(second.waited())
        .contains("of what may be written in 24 hours; it begins when others have ended");
    assertThatThrownBy(() -> submit(request("third", 10, 10), new Recorder()))
        .isInstanceOf(EngineBusyException.class)
        .hasMessageContaining("waits for more than a seat: " + second.waited());
    finish();
    assertThat(first.checked().ids()).hasSize(30);
    assertThat(second.checked().ids()).hasSize(30);
    assertThat(second.finish().usage().nvmeWrittenBytes()).isZero();
    assertThat(scheduler.tierStatus().writes()).isZero();
  }

  @Test
  void noAdmittedSequenceEverRunsOutOfWritesWhateverComesAndGoes() {
    List<GenerationRequest> choices = ofAllLengths();
    List<List<GeneratedToken>> alone = alone(choices);
    int refused = 0;
    for (int seed = 0; seed < LIVES; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      EngineShape shape =
          EngineShape.tight(1)
              .withSeats(2 + seed % 3)
              .withExtents(1 + random.nextInt(3))
              .withFrames(random.nextInt(40))
              .withQueueLimit(100);
      open(limited(shape, 1 + 3 * random.nextDouble()));
      List<Recorder> recorders = new ArrayList<>();
      List<Integer> chosen = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        chosen.add(random.nextInt(choices.size()));
        recorders.add(new Recorder());
        submit(choices.get(chosen.getLast()), recorders.getLast());
        for (int turns = random.nextInt(20); turns > 0; turns--) {
          scheduler.turn();
          clock.pass(Duration.ofMinutes(random.nextInt(60)));
          TierStatus.Written written = scheduler.tierStatus().written();
          assertThat(written.lastDay()).isLessThanOrEqualTo(written.perDay());
        }
      }
      finish();
      for (int i = 0; i < recorders.size(); i++) {
        if (recorders.get(i).error() instanceof EngineBusyException) {
          assertThat(recorders.get(i).tokens()).isEmpty();
          refused++;
        } else {
          assertSame(
              "of %d: %s".formatted(seed, recorders.get(i).error()),
              recorders.get(i).checked().tokens(),
              alone.get(chosen.get(i)));
        }
      }
      assertThat(kvBytes()).isZero();
      clock.pass(Duration.ofHours(25));
    }
    assertThat(refused).isPositive();
  }

  private void liveAtRandom(
      SplittableRandom random, List<GenerationRequest> choices, List<List<GeneratedToken>> alone) {
    List<Recorder> recorders = new ArrayList<>();
    List<Integer> chosen = new ArrayList<>();
    List<Sequence> sequences = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      int choice = random.nextInt(choices.size());
      List<Submission> group = new ArrayList<>();
      for (int member = 1 + random.nextInt(2); member > 0; member--) {
        recorders.add(new Recorder());
        chosen.add(choice);
        group.add(new Submission(choices.get(choice), recorders.getLast()));
      }
      sequences.addAll(submit(group));
      for (int turns = random.nextInt(20); turns > 0; turns--) {
        scheduler.turn();
      }
      if (random.nextInt(3) == 0) {
        sequences.get(random.nextInt(sequences.size())).cancel();
      }
    }
    finish();
    for (int i = 0; i < recorders.size(); i++) {
      Recorder recorder = recorders.get(i).checked();
      List<GeneratedToken> expected = alone.get(chosen.get(i));
      FinishReason reason = recorder.finish().reason();
      assertThat(reason).isIn(FinishReason.LENGTH, FinishReason.CANCELLED);
      int said = recorder.tokens().size();
      assertSame("generation " + i, recorder.tokens(), expected.subList(0, said));
      assertThat(reason == FinishReason.CANCELLED || said == expected.size()).isTrue();
    }
  }

  // --- groups ---

  @Test
  void aGroupIsPrefilledOnceAndWhoLeavesItDisturbsNobody() {
    GenerationRequest request = request("of a group", prompt(1, 170), random(1), 12);
    Recorder alone = new Recorder();
    submit(request, alone);
    finish();
    for (int leaver = 0; leaver < 3; leaver++) {
      List<Recorder> recorders = List.of(new Recorder(), new Recorder(), new Recorder());
      List<Sequence> group =
          submit(recorders.stream().map(r -> new Submission(request, r)).toList());
      while (recorders.get(leaver).prefills() < 3) {
        scheduler.turn();
      }
      group.get(leaver).cancel();
      finish();
      for (int member = 0; member < 3; member++) {
        Recorder recorder = recorders.get(member).checked();
        if (member == leaver) {
          assertThat(recorder.finish().reason()).isEqualTo(FinishReason.CANCELLED);
          assertThat(recorder.prefills()).isEqualTo(3);
        } else {
          assertSame("member " + member, recorder.tokens(), alone.tokens());
          assertThat(recorder.prefills()).isEqualTo(alone.prefills());
        }
      }
      assertThat(kvBytes()).isZero();
      assertThat(requests.active()).isZero();
    }
  }

  @Test
  void aListenerOfAGroupThatThrowsIsTheOnlyOneToEnd() {
    GenerationRequest request = request("of a group", prompt(1, 170), random(1), 12);
    Recorder alone = new Recorder();
    submit(request, alone);
    finish();
    for (int quantum : new int[] {1, alone.prefills()}) {
      Recorder throwing = new Recorder();
      throwing.onPrefill(
          () -> {
            if (throwing.prefills() == quantum) {
              throw new IllegalStateException("in prefill");
            }
          });
      Recorder sound = new Recorder();
      submit(List.of(new Submission(request, throwing), new Submission(request, sound)));
      finish();
      assertThat(throwing.checked().failure()).hasMessageContaining("in prefill");
      assertSame("the other", sound.checked().tokens(), alone.tokens());
      assertThat(kvBytes()).isZero();
    }
  }

  @Test
  void aRequestMayAttendLessThanTheEngineAndIsThenWhatASmallerEngineSays() {
    GenerationRequest request = request("sparse", prompt(2, 200), random(2), 12);
    open(EngineShape.tight(0.2));
    Recorder small = new Recorder();
    submit(request, small);
    finish();
    open(EngineShape.tight(1));
    Recorder exact = new Recorder();
    Recorder sparse = new Recorder();
    submit(request, exact);
    submit(request.withBudget("with a budget", 0.2), sparse);
    finish();
    assertSame("sparse beside exact", sparse.tokens(), small.tokens());
    assertThat(exact.tokens()).isNotEqualTo(sparse.tokens());
  }

  // --- cancellation ---

  @Test
  void whatIsCancelledWhileItWaitsNeverRuns() {
    open(EngineShape.tight(1).withSeats(1).withQueueLimit(2));
    Recorder running = new Recorder();
    Recorder waiting = new Recorder();
    submit(request("running", 150, 8), running);
    Sequence sequence = submit(request("waiting", 150, 8), waiting);
    submit(request("next", 20, 2), new Recorder());
    scheduler.turn();
    sequence.cancel();
    sequence.cancel();
    scheduler.turn();
    assertThat(waiting.finish().reason()).isEqualTo(FinishReason.CANCELLED);
    assertThat(waiting.prefills()).isZero();
    submit(request("in its place", 20, 2), new Recorder());
    finish();
    assertThat(running.checked().ids()).hasSize(8);
  }

  @Test
  void whatIsCancelledInPrefillLeavesAtTheNextTurnWithEverythingItHad() {
    Recorder recorder = new Recorder();
    Sequence sequence = submit(request("cancelled", 240, 8), recorder);
    while (recorder.prefills() < 6) {
      scheduler.turn();
    }
    assertThat(kvBytes()).isPositive();
    sequence.cancel();
    recorder.onEnd(() -> assertThat(kvBytes()).isZero());
    assertThat(scheduler.turn()).isFalse();
    Finish finish = recorder.checked().finish();
    assertThat(finish.reason()).isEqualTo(FinishReason.CANCELLED);
    assertThat(finish.usage().completionTokens()).isZero();
    assertThat(requests.active()).isZero();
    assertThat(kvBytes()).isZero();
    // The same seat serves the next one.
    Recorder next = new Recorder();
    submit(request("next", 240, 8), next);
    finish();
    assertThat(next.ids()).hasSize(8);
  }

  @Test
  void whatIsCancelledInDecodeLeavesAndTheOthersGoOn() {
    GenerationRequest kept = request("kept", prompt(1, 120), random(1), 30);
    Recorder alone = new Recorder();
    submit(kept, alone);
    finish();
    Recorder recorder = new Recorder();
    Recorder other = new Recorder();
    Sequence sequence = submit(request("cancelled", 180, 40), recorder);
    submit(kept, other);
    turnUntil(other, 5);
    sequence.cancel();
    int said = recorder.tokens().size();
    scheduler.turn();
    assertThat(recorder.finish().reason()).isEqualTo(FinishReason.CANCELLED);
    assertThat(recorder.checked().tokens()).hasSize(said);
    assertThat(recorder.finish().usage().completionTokens()).isEqualTo(said);
    assertThat(requests.active()).isEqualTo(1);
    finish();
    assertSame("the other", other.tokens(), alone.tokens());
    assertThat(kvBytes()).isZero();
  }

  @Test
  void aListenerMayCancelItsOwnGeneration() {
    Recorder recorder = new Recorder();
    List<Sequence> own = new ArrayList<>();
    own.add(
        submit(
            request("own", 100, 40),
            recorder.onToken(
                token -> {
                  if (recorder.tokens().size() == 3) {
                    own.getFirst().cancel();
                  }
                })));
    finish();
    assertThat(recorder.checked().finish().reason()).isEqualTo(FinishReason.CANCELLED);
    assertThat(recorder.tokens()).hasSizeBetween(3, 4);
  }

  // --- fairness ---

  @Test
  void runningUsersGetATokenBetweenAnyTwoPrefillQuanta() {
    open(prefillShare(EngineShape.tight(1).withFrames(10_000), PREFILL_EVERY_TURN));
    Recorder first = new Recorder();
    Recorder second = new Recorder();
    submit(request("first", 80, 60), first);
    submit(request("second", 90, 60), second);
    turnUntil(second, 1);
    Recorder late = new Recorder();
    List<Integer> said = new ArrayList<>();
    late.onPrefill(() -> said.add(first.tokens().size() + second.tokens().size()));
    submit(request("late", 220, 4), late);
    finish();
    assertThat(said).hasSize(10); // five blocks of two layers
    for (int i = 1; i < said.size(); i++) {
      assertThat(said.get(i) - said.get(i - 1)).as("tokens before quantum %d", i).isEqualTo(2);
    }
    assertThat(late.checked().ids()).hasSize(4);
  }

  @Test
  void prefillThatHadItsShareWaitsForTheOthers() {
    open(prefillShare(EngineShape.tight(1), PREFILL_LAST));
    Recorder first = new Recorder();
    submit(request("first", 40, 30), first);
    turnUntil(first, 1);
    Recorder late = new Recorder();
    List<Boolean> firstHadEnded = new ArrayList<>();
    late.onPrefill(() -> firstHadEnded.add(first.ended()));
    submit(request("late", 120, 4), late);
    finish();
    assertThat(firstHadEnded.getFirst()).isFalse();
    assertThat(firstHadEnded.subList(1, firstHadEnded.size())).containsOnly(true);
  }

  @Test
  void whatPrefillOwesIsNotForgottenWithTheNextPrompt() {
    open(prefillShare(EngineShape.tight(1).withBlock(256), PREFILL_LAST));
    Recorder first = new Recorder();
    submit(request("first", 40, 40), first);
    turnUntil(first, 1);
    // Two prompts of two quanta each; the first quantum of all is free, the others are owed for.
    Recorder second = new Recorder();
    Recorder third = new Recorder();
    submit(request("second", 30, 2), second);
    submit(request("third", 30, 2), third);
    second.onPrefill(
        () -> assertThat(second.prefills() == 1 || first.ended()).as("in its turn").isTrue());
    third.onPrefill(() -> assertThat(first.ended()).as("in its turn").isTrue());
    finish();
    second.checked().finish();
    third.checked().finish();
  }

  // --- prompts that share prefill ---

  /** Counts the quanta of prefill in the order in which they are run, by the name of the prompt. */
  private final List<String> quanta = new ArrayList<>();

  private Recorder counted(String name) {
    return new Recorder().onPrefill(() -> quanta.add(name));
  }

  private long quantaOf(String name) {
    return quanta.stream().filter(name::equals).count();
  }

  /** Four seats, blocks of 16 tokens: 15 quanta for each layer of 240 tokens. */
  private void openForTurns() {
    open(
        prefillShare(
            EngineShape.tight(1).withFrames(10_000).withSeats(4).withBlock(16).withQueueLimit(100),
            PREFILL_EVERY_TURN));
    quanta.clear();
  }

  @Test
  void aShortPromptHasItsFirstTokenBeforeTheNextQuantumOfALongOne() {
    openForTurns();
    Recorder longOne = counted("long");
    submit(request("long", 240, 4), longOne);
    for (int i = 0; i < 5; i++) {
      scheduler.turn();
    }
    List<Recorder> shorts = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      Recorder recorder = counted("short");
      recorder.onToken(
          token -> assertThat(quantaOf("long")).as("quanta of the long one").isEqualTo(5));
      shorts.add(recorder);
      submit(request("short " + i, 10, 1), recorder);
    }
    finish();
    shorts.forEach(
        recorder -> assertThat(recorder.checked().finish().usage().promptTokens()).isEqualTo(10));
    assertThat(longOne.checked().ids()).hasSize(4);
  }

  @Test
  void whoCameFirstKeepsItsShareOfTheWorkHoweverManyPassIt() {
    openForTurns();
    submit(request("long", 240, 2), counted("long"));
    scheduler.turn();
    double[] work = new double[2];
    // A never ending stream of prompts of which each may pass.
    int sent = 0;
    while (quantaOf("long") < 20) {
      if (requests.waiting() == 0) {
        submit(request("stream " + sent++, 48, 1), counted("stream"));
      }
      assertThat(scheduler.turn()).isTrue();
    }
    for (String name : quanta) {
      work[name.equals("long") ? 0 : 1]++;
    }
    // A quantum of the stream is no more work than one of the long prompt.
    assertThat(sent).isGreaterThan(10);
    assertThat(work[1]).isGreaterThan(work[0]);
    assertThat(work[1] / work[0])
        .as("quanta of the stream for each of the long one")
        .isLessThanOrEqualTo(1.5 * (1 - PrefillTurns.FIRST_SHARE) / PrefillTurns.FIRST_SHARE);
    finish();
  }

  @Test
  void aPromptTooLongForTheMemoryOfShortOnesTakesOverBetweenLayers() {
    EngineShape shape = EngineShape.tight(1).withSeats(4).withBlock(16);
    EngineSizes all = settings(shape).sizes();
    open(
        sized(shape, 8, all.dramFrames() + all.nvmeExtents())
            .withScheduling(s -> s.withPrefillShare(PREFILL_EVERY_TURN)));
    quanta.clear();
    submit(request("long", 200, 2), counted("long"));
    scheduler.turn();
    scheduler.turn();
    submit(request("middle", 30, 1), counted("middle"));
    scheduler.turn();
    scheduler.turn();
    Recorder shortOne = counted("short");
    submit(
        request("short", 8, 1),
        shortOne.onToken(token -> assertThat(quantaOf("long")).isLessThan(7)));
    finish();
    shortOne.checked().finish(); // beside the layer that has begun
    quanta.removeIf("short"::equals);
    List<String> expected = new ArrayList<>();
    expected.addAll(Collections.nCopies(13, "long")); // to the end of its layer
    expected.addAll(Collections.nCopies(4, "middle"));
    expected.addAll(Collections.nCopies(13, "long"));
    assertThat(quanta).isEqualTo(expected);
  }

  @Test
  void longPromptsThatWaitForPrefillTakeNoSeatFromShortOnes() {
    openForTurns();
    List<Recorder> longOnes = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      longOnes.add(counted("long"));
      submit(request("long " + i, 200 + i, 2), longOnes.getLast());
    }
    scheduler.turn();
    assertThat(requests.active()).isEqualTo(1);
    List<Recorder> shorts = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      shorts.add(counted("short"));
      submit(request("short " + i, 10 + i, 3), shorts.getLast());
    }
    while (!shorts.stream().allMatch(Recorder::ended)) {
      assertThat(scheduler.turn()).isTrue();
      assertThat(requests.active()).isLessThanOrEqualTo(4);
    }
    assertThat(longOnes.getFirst().tokens()).as("the first long prompt is not done").isEmpty();
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < longOnes.size(); i++) {
      int number = i;
      longOnes.get(i).onEnd(() -> order.add(number));
    }
    finish();
    assertThat(order).as("in the order of their arrival").isSorted().hasSize(8);
  }

  @Test
  void theLastFreeSeatIsPassedToShortPromptsOnly() {
    open(prefillShare(EngineShape.tight(1).withSeats(2).withBlock(16), PREFILL_EVERY_TURN));
    Recorder first = new Recorder();
    submit(request("first", 240, 2), first);
    scheduler.turn();
    Recorder middle = new Recorder();
    submit(request("middle", 80, 2), middle);
    scheduler.turn();
    assertThat(requests.active()).isEqualTo(1);
    Recorder shortOne = new Recorder();
    submit(request("short", 60, 2), shortOne);
    scheduler.turn();
    assertThat(requests.active()).isEqualTo(2);
    middle.onPrefill(
        () -> assertThat(shortOne.ended() || !first.tokens().isEmpty()).as("after").isTrue());
    finish();
    assertThat(middle.finish().reason()).isEqualTo(FinishReason.LENGTH);
  }

  @Test
  void theQueueNeverShowsMoreThanItsLimitAlsoWhileAFreeSeatIsHeldBack() {
    int limit = 3;
    open(
        prefillShare(
            EngineShape.tight(1).withSeats(2).withBlock(16).withQueueLimit(limit),
            PREFILL_EVERY_TURN));
    submit(request("first", 240, 2), new Recorder());
    scheduler.turn();
    for (int i = 0; i <= limit; i++) {
      submit(request("long " + i, 80, 2), new Recorder());
    }
    scheduler.turn();
    assertThat(requests.waiting())
        .as("the free seat waits for a short prompt")
        .isEqualTo(limit + 1);
    assertThat(requests.occupancy()).isEqualTo(new RequestQueue.Occupancy(1, 2, 0, limit));
    assertThatThrownBy(() -> submit(request("one more", 10, 2), new Recorder()))
        .isInstanceOf(EngineBusyException.class)
        .hasMessageContaining("%d of %d places in the queue".formatted(limit, limit));
    while (requests.active() + requests.waiting() > 0) {
      RequestQueue.Occupancy seen = requests.occupancy();
      assertThat(seen.seated()).isBetween(seen.active(), 2);
      assertThat(seen.queued()).isBetween(0, limit);
      assertThat(seen.seated() + seen.queued()).isEqualTo(requests.active() + requests.waiting());
      assertThat(scheduler.turn()).isTrue();
    }
    assertThat(requests.occupancy()).isEqualTo(new RequestQueue.Occupancy(0, 0, 0, 0));
  }

  @Test
  void whoCameFirstOfAllIsTheNextToGetASeat() {
    open(
        prefillShare(
            EngineShape.tight(1).withSeats(2).withBlock(16).withQueueLimit(100),
            PREFILL_EVERY_TURN));
    Recorder first = new Recorder();
    submit(request("first", 200, 2), first);
    scheduler.turn();
    Recorder second = new Recorder();
    Sequence waiting = submit(request("second", 200, 2), second);
    AtomicBoolean tooLate = new AtomicBoolean();
    int sent = 0;
    while (!second.ended()) {
      if (requests.waiting() < 3) {
        boolean firstDone = !first.tokens().isEmpty();
        Recorder passing = new Recorder();
        submit(
            request("passing " + sent++, 10, 2),
            passing.onPrefill(
                () -> {
                  if (firstDone && waiting.seat() < 0) {
                    tooLate.set(true);
                  }
                }));
      }
      assertThat(scheduler.turn()).isTrue();
    }
    assertThat(tooLate).as("one that came after the end of the first passed the second").isFalse();
    finish();
  }

  @Test
  void whateverPromptsShareOfPrefillTheirTokensAreTheSame() {
    List<GenerationRequest> choices = new ArrayList<>();
    int[] lengths = {1, 12, 40, 63, 64, 65, 90, 130, 180, 230};
    for (int length : lengths) {
      choices.add(request("of " + length, prompt(length, length), random(length), 12));
    }
    List<List<GeneratedToken>> alone = new ArrayList<>();
    for (GenerationRequest request : choices) {
      Recorder recorder = new Recorder();
      submit(request, recorder);
      finish();
      alone.add(recorder.tokens());
    }
    for (int seed = 0; seed < LIVES; seed++) {
      SplittableRandom random = new SplittableRandom(1000 + seed);
      EngineShape shape =
          EngineShape.tight(1)
              .withSeats(2 + random.nextInt(4))
              .withExtents(1 + random.nextInt(3))
              .withBlock(1 + random.nextInt(40))
              .withFrames(random.nextInt(12))
              .withQueueLimit(100);
      open(prefillShare(shape, seed % 2 == 0 ? PREFILL_EVERY_TURN : 0.5));
      liveAtRandom(random, choices, alone);
      assertThat(kvBytes()).as("seed %d", seed).isZero();
      assertThat(requests.active()).isZero();
    }
  }

  @Test
  void aTierWithoutRoomEndsOneOfThePromptsInPrefillAndTheOthersGoOn() {
    EngineShape shape =
        EngineShape.tight(1)
            .withSeats(3)
            .withBlock(16)
            .withExtents(1)
            .withTimeouts(Duration.ofSeconds(20), Duration.ofSeconds(20));
    GenerationRequest shortRequest = request("short", prompt(4, 60), random(4), 5);
    Recorder alone = new Recorder();
    submit(shortRequest, alone);
    finish();
    FaultyFiles files = new FaultyFiles(3, settings(shape).sizes().layout().extentBytes());
    open(
        settings(shape)
            .withScheduling(s -> s.withPrefillShare(PREFILL_EVERY_TURN))
            .withNvme(nvme -> nvme.withFiles(files)));
    Recorder longOne = new Recorder();
    submit(request("long", 240, 4), longOne);
    for (int i = 0; i < 4; i++) {
      scheduler.turn();
    }
    Recorder beside = new Recorder();
    submit(shortRequest, beside);
    files.with(FaultyFiles.Fault.WRITE_EIO, 1);
    while (!longOne.ended()) {
      assertThat(scheduler.turn()).isTrue();
    }
    assertThat(longOne.failure()).hasMessageContaining("no room in DRAM");
    files.heal();
    await().until(() -> scheduler.tierStatus().nvmeFailure() == null);
    finish();
    assertSame("the short one", beside.checked().tokens(), alone.tokens());
    // All that it had of the memory for prefill serves the next.
    Recorder next = new Recorder();
    submit(request("next", 240, 4), next);
    finish();
    assertThat(next.ids()).hasSize(4);
    assertThat(kvBytes()).isZero();
  }

  // --- listeners that fail ---

  @Test
  void aListenerThatThrowsEndsItsOwnGenerationOnly() {
    GenerationRequest request = request("sound", prompt(1, 130), random(1), 20);
    Recorder alone = new Recorder();
    submit(request, alone);
    finish();
    for (RuntimeException thrown :
        List.of(new IllegalStateException("full"), new ArithmeticException())) {
      Recorder throwing = new Recorder();
      throwing.onToken(
          token -> {
            if (throwing.tokens().size() == 4) {
              throw thrown;
            }
          });
      assertFailsAlone(request, alone, throwing, thrown);
      assertThat(throwing.tokens()).hasSize(4);
    }
    Recorder first = new Recorder();
    AssertionError error = new AssertionError("not an exception");
    first.onToken(
        token -> {
          throw error;
        });
    assertFailsAlone(request, alone, first, error);
    for (int quantum : new int[] {1, 3, 6}) {
      Recorder throwing = new Recorder();
      IllegalStateException thrown = new IllegalStateException("in prefill");
      throwing.onPrefill(
          () -> {
            if (throwing.prefills() == quantum) {
              throw thrown;
            }
          });
      assertFailsAlone(request, alone, throwing, thrown);
      assertThat(throwing.prefills()).isEqualTo(quantum);
      assertThat(throwing.tokens()).isEmpty();
    }
  }

  private void assertFailsAlone(
      GenerationRequest request, Recorder alone, Recorder throwing, Throwable thrown) {
    Recorder sound = new Recorder();
    submit(request("throwing", 140, 30), throwing);
    submit(request, sound);
    finish();
    assertThat(throwing.checked().failure()).hasCause(thrown).hasMessageContaining("throwing");
    assertSame("the other", sound.tokens(), alone.tokens());
    assertThat(kvBytes()).isZero();
    assertThat(requests.active()).isZero();
  }

  @Test
  void aListenerThatThrowsAtTheEndHarmsNobody() {
    Recorder throwing = new Recorder();
    Recorder sound = new Recorder();
    submit(
        request("throwing", 20, 3),
        throwing.onEnd(
            () -> {
              throw new IllegalStateException("at the end");
            }));
    submit(request("sound", 20, 9), sound);
    finish();
    assertThat(throwing.checked().finish().reason()).isEqualTo(FinishReason.LENGTH);
    assertThat(sound.ids()).hasSize(9);
    assertThat(requests.active()).isZero();
  }

  // --- use ---

  @Test
  void usageSaysWhatAGenerationTook() {
    Recorder recorder = new Recorder();
    long before = scheduler.tierStatus().written().bytes();
    submit(request("exact", 150, 20), recorder);
    finish();
    GenerationUsage usage = recorder.finish().usage();
    assertThat(usage.nvmeWrittenBytes())
        .isPositive()
        .isEqualTo(scheduler.tierStatus().written().bytes() - before);
    assertThat(usage.promptTokens()).isEqualTo(150);
    assertThat(usage.completionTokens()).isEqualTo(20);
    // Nineteen steps, at 151 to 169 tokens; in exact mode all of them are attended.
    assertThat(usage.contextTokens()).isEqualTo(19L * (151 + 169) / 2);
    assertThat(usage.attendedTokens()).isEqualTo(usage.contextTokens());
    assertThat(usage.nvmeMisses()).isPositive();
    assertThat(usage.nvmeBytes()).isEqualTo(usage.nvmeMisses() * sizes.layout().backing().bytes());
    assertThat(usage.hitRate()).isBetween(0.0, 1.0);
    assertThat(usage.queueNanos()).isNotNegative();
    assertThat(usage.prefillNanos()).isPositive();
    assertThat(usage.decodeNanos()).isPositive();
    open(EngineShape.tight(0.1));
    Recorder sparse = new Recorder();
    submit(request("sparse", 150, 20), sparse);
    finish();
    assertThat(sparse.finish().usage().attendedTokens()).isLessThan(usage.attendedTokens());
  }
}

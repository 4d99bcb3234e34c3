package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.schedule.WaitEstimate.Work;
import java.util.Collections;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** When to come back follows from what runs and waits, not from what has ended. */
class WaitEstimateTest {
  private static final double PROMPT = 0.004;
  private static final double STEP = 0.05;
  private static final Offset<Double> CLOSE = within(1e-6);

  private static WaitEstimate estimate(int seats) {
    return new WaitEstimate(seats, PROMPT, STEP, 0.5);
  }

  @Test
  void anAnswerThatIsBeingDecodedTakesItsSteps() {
    assertThat(estimate(1).secondsUntil(1, List.of(new Work(0, 40)), List.of()))
        .isCloseTo(40 * STEP, CLOSE);
  }

  @Test
  void aLongPromptTakesItsPrefillAlthoughItsAnswerIsShort() {
    assertThat(estimate(1).secondsUntil(1, List.of(new Work(30_000, 8)), List.of()))
        .isCloseTo(30_000 * PROMPT + 8 * STEP, CLOSE);
  }

  @Test
  void whatIsLeftCountsAndNotWhatIsDone() {
    double whole = estimate(1).secondsUntil(1, List.of(new Work(30_000, 8)), List.of());
    double half = estimate(1).secondsUntil(1, List.of(new Work(15_000, 8)), List.of());
    assertThat(half).isLessThan(whole * 0.51);
  }

  @Test
  void theShortestOfThoseThatRunFreesTheFirstPlace() {
    List<Work> running = List.of(new Work(0, 400), new Work(0, 10), new Work(0, 90));
    assertThat(estimate(3).secondsUntil(1, running, List.of())).isCloseTo(10 * STEP, CLOSE);
    assertThat(estimate(3).secondsUntil(2, running, List.of())).isCloseTo(90 * STEP, CLOSE);
    assertThat(estimate(3).secondsUntil(3, running, List.of())).isCloseTo(400 * STEP, CLOSE);
  }

  @Test
  void aPlaceIsFreeOnceTheQueueMovesUpAndWhoMovesUpTakesTime() {
    List<Work> running = List.of(new Work(0, 10));
    List<Work> waiting = List.of(new Work(5000, 10), new Work(100, 10));
    WaitEstimate one = estimate(1);
    assertThat(one.secondsUntil(1, running, waiting)).isCloseTo(10 * STEP, CLOSE);
    assertThat(one.secondsUntil(2, running, waiting)).isCloseTo(20 * STEP + 5000 * PROMPT, CLOSE);
    assertThat(one.secondsUntil(3, running, waiting)).isCloseTo(30 * STEP + 5100 * PROMPT, CLOSE);
  }

  @Test
  void prefillAndDecodeShareTheTime() {
    List<Work> running = List.of(new Work(10_000, 100), new Work(0, 100));
    // Steps take twice their time beside a prefill.
    assertThat(estimate(2).secondsUntil(1, running, List.of())).isCloseTo(2 * 100 * STEP, CLOSE);
  }

  @Test
  void promptsTakeTurnsTheShortestFirst() {
    List<Work> running = List.of(new Work(30_000, 1), new Work(26, 1));
    assertThat(estimate(2).secondsUntil(1, running, List.of())).isLessThan(1);
  }

  @Test
  void endsSoonWithoutAnyMeasurement() {
    assertThat(
            new WaitEstimate(4, 0, 0, 0.5)
                .secondsUntil(
                    5,
                    Collections.nCopies(4, new Work(100, 10)),
                    Collections.nCopies(32, new Work(100, 10))))
        .isZero();
  }

  @Test
  void thereIsAPlaceWhenNothingIsLeft() {
    assertThat(estimate(2).secondsUntil(3, List.of(new Work(0, 1)), List.of()))
        .isCloseTo(STEP, CLOSE);
  }

  @Test
  void speedsAreThoseOfLately() {
    Speeds speeds = new Speeds();
    assertThat(speeds.secondsPerStep()).isZero();
    assertThat(speeds.secondsPerPromptToken()).isZero();
    assertThat(speeds.expectedAnswer(500)).isEqualTo(256);
    for (int i = 0; i < 2000; i++) {
      speeds.step(10_000_000);
    }
    for (int i = 0; i < 2000; i++) {
      speeds.step(40_000_000);
    }
    assertThat(speeds.secondsPerStep()).isCloseTo(0.04, within(1e-3));
    speeds.prefilled(256, 512_000_000);
    assertThat(speeds.secondsPerPromptToken()).isCloseTo(0.002, within(1e-9));
    for (int i = 0; i < 100; i++) {
      speeds.answered(20);
    }
    assertThat(speeds.expectedAnswer(500)).isCloseTo(20, within(0.1));
    assertThat(speeds.expectedAnswer(5)).isEqualTo(5);
  }
}

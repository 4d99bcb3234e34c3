package dev.kvdrive.decode;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.IntToLongFunction;
import java.util.function.ToLongFunction;
import org.junit.jupiter.api.Test;

class StepTrialsTest {
  /** Depth that is taken after many steps, if a step of each depth takes so long. */
  private static int taken(StepTrials.Trial of, IntToLongFunction nanos) {
    Set<Integer> last = new HashSet<>();
    for (int step = 0; step < 200; step++) {
      int depth = of.next().depth();
      of.took(nanos.applyAsLong(depth));
      if (step >= 100) {
        last.add(depth);
      }
    }
    assertThat(last).hasSize(1);
    return last.iterator().next();
  }

  @Test
  void theFastestDepthIsTaken() {
    assertThat(taken(new StepTrials(4, true, List.of(false)).of(8), depth -> 1_000 / depth))
        .isEqualTo(4);
    assertThat(taken(new StepTrials(4, true, List.of(false)).of(8), depth -> 1_000L * depth))
        .isEqualTo(1);
    assertThat(
            taken(new StepTrials(4, true, List.of(false)).of(8), depth -> depth == 2 ? 900 : 1_000))
        .isEqualTo(2);
  }

  @Test
  void whatGainsNothingIsNotCut() {
    assertThat(taken(new StepTrials(4, true, List.of(false)).of(8), depth -> 1_000 - depth))
        .isEqualTo(1);
  }

  @Test
  void aSlowStepInATrialDecidesNothing() {
    int[] steps = {0};
    assertThat(
            taken(
                new StepTrials(4, true, List.of(false)).of(4),
                depth -> steps[0]++ % 11 == 10 ? 100_000 : 1_000 / depth))
        .isEqualTo(4);
  }

  @Test
  void noMicroBatchIsEmpty() {
    for (int rows : List.of(1, 2, 3, 4, 5)) {
      StepTrials.Trial of = new StepTrials(4, false, List.of(false)).of(rows);
      assertThat(of.next().depth()).isLessThanOrEqualTo(rows).isIn(1, 2, 4);
    }
    assertThat(new StepTrials(1, false, List.of(false)).of(8).next().depth()).isEqualTo(1);
  }

  @Test
  void aDepthIsTriedAgainWhenThingsMayHaveChanged() {
    StepTrials.Trial of = new StepTrials(2, true, List.of(false)).of(2);
    assertThat(taken(of, depth -> 1_000L * depth)).isEqualTo(1);
    for (int step = 0; of.next().depth() == 1 && step < 10_000; step++) {
      of.took(500);
    }
    assertThat(taken(of, depth -> 1_000 / depth)).isEqualTo(2);
  }

  /** Whether steps prefetch in the end, if they take so long with one part and with two. */
  private static boolean prefetches(StepTrials trials, ToLongFunction<StepTrials.Way> nanos) {
    StepTrials.Trial of = trials.of(2);
    for (int step = 0; step < 200; step++) {
      of.took(nanos.applyAsLong(of.next()));
    }
    return of.next().ahead();
  }

  @Test
  void stepsPrefetchWhereItMakesThemFaster() {
    List<Boolean> both = List.of(false, true);
    assertThat(prefetches(new StepTrials(2, true, both), way -> way.ahead() ? 900 : 1_000))
        .isTrue();
    assertThat(prefetches(new StepTrials(2, true, both), way -> way.ahead() ? 995 : 1_000))
        .as("by too little")
        .isFalse();
    assertThat(prefetches(new StepTrials(2, true, both), way -> way.ahead() ? 1_300 : 1_000))
        .isFalse();
    assertThat(
            prefetches(
                new StepTrials(2, true, both),
                way -> way.depth() == 2 && way.ahead() ? 900 : 1_000))
        .as("with two micro-batches only")
        .isTrue();
  }

  @Test
  void stepsThatAreToPrefetchDoAndOthersNeverDo() {
    assertThat(prefetches(new StepTrials(2, true, List.of(true)), way -> 1_000)).isTrue();
    assertThat(prefetches(new StepTrials(2, true, List.of(false)), way -> 1_000)).isFalse();
  }
}

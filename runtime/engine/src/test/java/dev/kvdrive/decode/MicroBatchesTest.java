package dev.kvdrive.decode;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.IntToLongFunction;
import org.junit.jupiter.api.Test;

class MicroBatchesTest {
  /** Depth that is taken after many steps, if a step of each depth takes so long. */
  private static int taken(MicroBatches of, int rows, IntToLongFunction nanos) {
    Set<Integer> last = new HashSet<>();
    for (int step = 0; step < 200; step++) {
      int depth = of.depth("shape", rows);
      of.took("shape", rows, nanos.applyAsLong(depth));
      if (step >= 100) {
        last.add(depth);
      }
    }
    assertThat(last).hasSize(1);
    return last.iterator().next();
  }

  @Test
  void theFastestDepthIsTaken() {
    assertThat(taken(new MicroBatches(4, true), 8, depth -> 1_000 / depth)).isEqualTo(4);
    assertThat(taken(new MicroBatches(4, true), 8, depth -> 1_000L * depth)).isEqualTo(1);
    assertThat(taken(new MicroBatches(4, true), 8, depth -> depth == 2 ? 900 : 1_000)).isEqualTo(2);
  }

  @Test
  void whatGainsNothingIsNotCut() {
    assertThat(taken(new MicroBatches(4, true), 8, depth -> 1_000 - depth)).isEqualTo(1);
  }

  @Test
  void aSlowStepInATrialDecidesNothing() {
    int[] steps = {0};
    assertThat(
            taken(
                new MicroBatches(4, true),
                4,
                depth -> steps[0]++ % 11 == 10 ? 100_000 : 1_000 / depth))
        .isEqualTo(4);
  }

  @Test
  void noMicroBatchIsEmpty() {
    for (int rows : List.of(1, 2, 3, 4, 5)) {
      MicroBatches of = new MicroBatches(4, false);
      assertThat(of.depth("shape", rows)).isLessThanOrEqualTo(rows).isIn(1, 2, 4);
    }
    assertThat(new MicroBatches(1, false).depth("shape", 8)).isEqualTo(1);
  }

  @Test
  void aDepthIsTriedAgainWhenThingsMayHaveChanged() {
    MicroBatches of = new MicroBatches(2, true);
    assertThat(taken(of, 2, depth -> 1_000L * depth)).isEqualTo(1);
    for (int step = 0; of.depth("shape", 2) == 1 && step < 10_000; step++) {
      of.took("shape", 2, 500);
    }
    assertThat(taken(of, 2, depth -> 1_000 / depth)).isEqualTo(2);
  }
}

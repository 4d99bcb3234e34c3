package dev.kvdrive.kv.window;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class WindowDivisionTest {
  private static final int LAYERS = 2;
  private static final int HEADS = 2;
  private static final int SELECTED = 10;
  private static final int UNIFORM = 20;

  private static EngineSizes sizes(int seats) {
    KvLayout layout = new KvLayout(LAYERS, HEADS, 64, KvType.BF16, ChunkGrid.PAPER, 4);
    ModelGeometry model =
        new ModelGeometry("m", new ModelShape(LAYERS, 128, 2, HEADS, 64, 8, 8), 4096, 0);
    return new EngineSizes(
        model,
        layout,
        new Load(4096, seats),
        AttentionOptions.of(PolicyShape.KVDRIVE, Budget.of(0.0198), KvType.BF16, DeviceKind.CPU)
            .withFormats(layout.formats())
            .withDenseBelow(0),
        4,
        UNIFORM,
        SELECTED,
        64,
        0,
        1000,
        0,
        NvmeEncryption.NONE);
  }

  /** Counts of steps in which each chunk comes back after {@code age} steps; 0: never. */
  private static int[] ages(int steps, int... ageOfWindow) {
    int[] all = new int[LAYERS * HEADS * LayerReuse.CLASSES];
    for (int window = 0; window < LAYERS * HEADS; window++) {
      int age = ageOfWindow[window];
      int at = age == 0 ? LayerReuse.NEVER : LayerReuse.classOf(age);
      all[window * LayerReuse.CLASSES + at] = steps * SELECTED;
    }
    return all;
  }

  private static int[] slots(WindowDivision division, int seat) {
    int[] slots = new int[LAYERS * HEADS];
    for (int i = 0; i < slots.length; i++) {
      slots[i] = division.slots(seat, i / HEADS, i % HEADS);
    }
    return slots;
  }

  private static boolean run(WindowDivision division, int seat, int[] ages) {
    boolean look = false;
    for (int step = 0; step < WindowDivision.STEPS; step++) {
      division.selected(seat);
      look = division.stepped();
    }
    assertThat(look).isTrue();
    division.take(seat, ages);
    return division.divide();
  }

  @Test
  void slotsGoWhereTheySaveMisses() {
    WindowDivision division = new WindowDivision(sizes(1), Division.BY_REUSE);
    division.open(0);
    assertThat(slots(division, 0)).containsOnly(UNIFORM);
    // The first comes back at once, the second after three steps, the others never do.
    assertThat(run(division, 0, ages(WindowDivision.STEPS, 1, 3, 0, 0))).isTrue();
    int[] slots = slots(division, 0);
    assertThat(slots[1]).isGreaterThanOrEqualTo(3 * SELECTED);
    assertThat(Arrays.stream(slots).sum()).isEqualTo(LAYERS * HEADS * UNIFORM);
    assertThat(Arrays.stream(slots).min().orElseThrow()).isGreaterThanOrEqualTo(SELECTED);
  }

  @Test
  void aDivisionThatSavesNothingIsNotMade() {
    WindowDivision division = new WindowDivision(sizes(1), Division.BY_REUSE);
    division.open(0);
    assertThat(run(division, 0, ages(WindowDivision.STEPS, 1, 1, 1, 1))).isFalse();
    assertThat(slots(division, 0)).containsOnly(UNIFORM);
  }

  @Test
  void freeSeatsLendTheirSlotsAndTakeThemBack() {
    for (Division lent : List.of(Division.LENT, Division.BY_REUSE)) {
      WindowDivision division = new WindowDivision(sizes(2), lent);
      division.open(1);
      assertThat(slots(division, 1)).containsOnly(2 * UNIFORM);
      division.open(0);
      assertThat(slots(division, 0)).containsOnly(UNIFORM);
      assertThat(slots(division, 1)).containsOnly(UNIFORM);
      division.close(1, lent == Division.BY_REUSE ? ages(0, 1, 1, 1, 1) : null);
      assertThat(slots(division, 0)).containsOnly(2 * UNIFORM);
      assertThat(slots(division, 1)).containsOnly(0);
    }
  }

  @Test
  void aNewSequenceStartsWithWhatFormerOnesHaveTaught() {
    WindowDivision division = new WindowDivision(sizes(1), Division.BY_REUSE);
    division.open(0);
    for (int step = 0; step < 8; step++) {
      division.selected(0);
    }
    division.close(0, ages(8, 1, 4, 0, 0));
    assertThat(division.open(0)).isTrue();
    assertThat(slots(division, 0)[1]).isGreaterThan(slots(division, 0)[2]);
  }

  @Test
  void noMoreSlotsThanThePlanHasAreEverGiven() {
    SplittableRandom random = new SplittableRandom(1);
    EngineSizes sizes = sizes(4);
    WindowDivision division = new WindowDivision(sizes, Division.BY_REUSE);
    for (int i = 0; i < 200; i++) {
      int seat = random.nextInt(4);
      int[] ages = new int[LAYERS * HEADS * LayerReuse.CLASSES];
      for (int c = 0; c < ages.length; c++) {
        ages[c] = i * random.nextInt(100);
      }
      if (!division.taken(seat)) {
        division.open(seat);
      } else if (random.nextInt(3) == 0) {
        division.close(seat, ages);
      } else {
        division.selected(seat);
        division.take(seat, ages);
        division.divide();
      }
      long sum = 0;
      for (int s = 0; s < 4; s++) {
        for (int count : slots(division, s)) {
          sum += count;
          assertThat(count)
              .isBetween(division.taken(s) ? SELECTED : 0, division.taken(s) ? 500 : 0);
        }
      }
      assertThat(sum).isLessThanOrEqualTo(sizes.allWindowSlots());
    }
  }

  @Test
  void theCurveOfAgesIsWhatAWindowThatForgetsTheOldestMisses() {
    double[] ages = new double[LayerReuse.CLASSES];
    ages[LayerReuse.classOf(1)] = 60;
    ages[LayerReuse.classOf(2)] = 20;
    ages[LayerReuse.NEVER] = 20;
    MissCurve curve = MissCurve.of(ages, 10);
    assertThat(curve.at(0)).isEqualTo(10, within(1e-9));
    assertThat(curve.at(10)).isEqualTo(4, within(1e-9)); // the last step's
    assertThat(curve.at(14)).isEqualTo(2, within(1e-9)); // four of the step before are others
    assertThat(curve.at(1000)).isEqualTo(2, within(1e-9));
  }
}

package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class UsesTest {
  private static float merit(int times, int age) {
    return Uses.merit(Uses.of(times, 1000), 1000 + age);
  }

  @Test
  void whatIsUsedOftenIsWorthMoreButEachUseLess() {
    for (int times = 1; times < 1000; times++) {
      float gained = merit(times + 1, 1) - merit(times, 1);
      assertThat(gained).isPositive();
      assertThat(gained).isLessThanOrEqualTo(merit(times, 1) - merit(times - 1, 1));
    }
    assertThat(merit(1, 0)).as("two: one doubling").isEqualTo(Uses.OFTEN);
    assertThat(merit(15, 0)).as("sixteen: four doublings").isEqualTo(4 * Uses.OFTEN);
    assertThat(merit(2, 0)).as("three, on the line from two to four").isEqualTo(1.5f * Uses.OFTEN);
  }

  @Test
  void whatWasUsedLongAgoIsWorthLessButEachTokenLess() {
    for (int age = 1; age < 1000; age++) {
      float lost = merit(1, age) - merit(1, age + 1);
      assertThat(lost).isPositive();
      assertThat(lost).isLessThanOrEqualTo(merit(1, age - 1) - merit(1, age));
    }
    assertThat(merit(1, 15)).isEqualTo(merit(1, 0) - 4 * Uses.LONG_AGO);
  }

  @Test
  void theyHaveSixteenBitsEach() {
    int most = Uses.of(Uses.MOST, 5);
    assertThat(Uses.of(Uses.MOST + 1, 5)).isEqualTo(most);
    assertThat(Uses.times(Uses.of(Uses.MOST, Uses.MOST))).isEqualTo(Uses.MOST);
    // Positions go on behind 65,535, and so does what is later than them.
    for (int position : new int[] {0, 40_000, 65_530, 131_072, 999_999}) {
      int uses = Uses.of(3, position);
      assertThat(Uses.times(uses)).isEqualTo(3);
      assertThat(Uses.merit(uses, position + 10)).isEqualTo(merit(3, 10));
    }
  }

  @Test
  void whatIsNotInTheWindowKeepsHowOften() {
    assertThat(Uses.absent(0)).as("what empty maps are filled with").isEqualTo(-1);
    for (int times : new int[] {0, 1, Uses.MOST}) {
      assertThat(Uses.absent(times)).isNegative();
      assertThat(Uses.timesWhileAbsent(Uses.absent(times))).isEqualTo(times);
    }
  }
}

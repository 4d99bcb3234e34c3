package dev.kvdrive.bench.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BootstrapTest {
  @Test
  void anIntervalIsAsWideAsTheMeanIsUnsure() {
    Random random = new Random(3);
    double[] values = new double[200];
    for (int i = 0; i < values.length; i++) {
      values[i] = 50 + 10 * random.nextGaussian();
    }
    double mean = Score.mean(values);
    double squares = 0;
    for (double value : values) {
      squares += (value - mean) * (value - mean);
    }
    double error = Math.sqrt(squares / (values.length - 1) / values.length);
    Interval interval = Bootstrap.of(List.of(values)).orElseThrow();
    assertThat(interval.low()).isCloseTo(mean - 1.96 * error, within(error / 8));
    assertThat(interval.high()).isCloseTo(mean + 1.96 * error, within(error / 8));
  }

  @Test
  void withThreeSamplesOfATaskIntervalsHoldTheMeanAboutAsOftenAsTheySay() {
    Random random = new Random(7);
    int held = 0;
    int runs = 200;
    for (int run = 0; run < runs; run++) {
      List<double[]> tasks = new ArrayList<>();
      for (int task = 0; task < 12; task++) {
        tasks.add(
            new double[] {random.nextGaussian(), random.nextGaussian(), random.nextGaussian()});
      }
      Interval interval = Bootstrap.of(tasks).orElseThrow();
      held += interval.low() <= 0 && 0 <= interval.high() ? 1 : 0;
    }
    assertThat((double) held / runs).isBetween(0.90, 0.99);
  }

  @Test
  void tasksThatDifferMakeNoMeanUnsureOnlyTheirSamplesDo() {
    assertThat(Bootstrap.of(List.of(new double[] {0, 0}, new double[] {100, 100}))).isEmpty();
  }

  @Test
  void singleSamplesAreDrawnTogetherAndOneAloneSaysNothing() {
    Interval interval =
        Bootstrap.of(List.of(new double[] {0}, new double[] {100}, new double[] {50}))
            .orElseThrow();
    assertThat(interval.low()).isLessThan(30);
    assertThat(interval.high()).isGreaterThan(70);
    assertThat(Bootstrap.of(List.of(new double[] {100}))).isEmpty();
    assertThat(Bootstrap.of(List.of(new double[] {100}, new double[] {0, 100}))).isEmpty();
  }

  @Test
  void theSameSamplesHaveTheSameInterval() {
    List<double[]> tasks = List.of(new double[] {0, 100, 50}, new double[] {1, 2, 3});
    assertThat(Bootstrap.of(tasks)).isEqualTo(Bootstrap.of(tasks));
  }
}

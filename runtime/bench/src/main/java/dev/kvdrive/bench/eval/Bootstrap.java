package dev.kvdrive.bench.eval;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/**
 * Confidence of a mean over tasks by the bootstrap: samples are drawn anew within each task. Of n
 * samples n - 1 are drawn, with which the variance of the mean has no bias (Rao and Wu 1988); with
 * n of them it would be a third too small for three samples. Tasks of one sample say nothing alone:
 * they are drawn as if they were samples of one task, which is rather too wide than too narrow.
 */
final class Bootstrap {
  private static final int RESAMPLES = 10_000;
  private static final double OUTSIDE = 0.05;

  /** The same samples have the same interval. */
  private static final long SEED = 1;

  private Bootstrap() {}

  /** What is drawn together, and its share of the mean. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Stratum(double[] values, double weight) {}

  /**
   * The interval of the mean over tasks of the means over their samples.
   *
   * @param tasks the values of each task's samples; at least one of each
   * @return nothing where no draw differs from another
   */
  static Optional<Interval> of(Collection<double[]> tasks) {
    List<Stratum> strata = new ArrayList<>();
    double[] singles =
        tasks.stream().filter(values -> values.length == 1).mapToDouble(v -> v[0]).toArray();
    for (double[] values : tasks) {
      if (values.length > 1) {
        strata.add(new Stratum(values, 1.0 / tasks.size()));
      }
    }
    if (singles.length == 1) {
      return Optional.empty();
    }
    if (singles.length > 1) {
      strata.add(new Stratum(singles, (double) singles.length / tasks.size()));
    }
    Random random = new Random(SEED);
    double[] means = new double[RESAMPLES];
    for (int r = 0; r < RESAMPLES; r++) {
      for (Stratum stratum : strata) {
        means[r] += stratum.weight() * draw(stratum.values(), random);
      }
    }
    Arrays.sort(means);
    int outside = (int) Math.round(RESAMPLES * OUTSIDE / 2);
    // Sums of the same terms in another order differ by their last bits.
    return means[RESAMPLES - 1] - means[0] < 1e-9
        ? Optional.empty()
        : Optional.of(new Interval(means[outside], means[RESAMPLES - 1 - outside]));
  }

  private static double draw(double[] values, Random random) {
    double sum = 0;
    for (int i = 1; i < values.length; i++) {
      sum += values[random.nextInt(values.length)];
    }
    return sum / (values.length - 1);
  }
}

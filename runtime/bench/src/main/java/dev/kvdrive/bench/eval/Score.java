package dev.kvdrive.bench.eval;

import java.util.Collection;
import org.jspecify.annotations.Nullable;

/**
 * A mean in points of a hundred, and how sure it is.
 *
 * @param mean over tasks of the means over their samples
 * @param interval of the mean; null where the samples cannot say: a single one, or all alike
 */
public record Score(double mean, @Nullable Interval interval) {
  /**
   * The score of tasks.
   *
   * @param tasks the points of each task's samples; at least one of each
   */
  static Score of(Collection<double[]> tasks) {
    double sum = 0;
    for (double[] samples : tasks) {
      sum += mean(samples);
    }
    return new Score(sum / tasks.size(), Bootstrap.of(tasks).orElse(null));
  }

  static double mean(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum / values.length;
  }
}

package dev.kvdrive.bench.speed;

import java.util.Arrays;

/**
 * Several measurements of one thing.
 *
 * @param median of them
 * @param min the smallest
 * @param max the largest
 */
public record Spread(double median, double min, double max) {
  /** Of at least one value. */
  public static Spread of(double... values) {
    if (values.length == 0) {
      throw new IllegalArgumentException("nothing was measured");
    }
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    double median =
        sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    return new Spread(median, sorted[0], sorted[sorted.length - 1]);
  }
}

package dev.kvdrive.bench.token;

import java.util.Comparator;
import java.util.stream.IntStream;

/** Scores of many by the queries of a group, and their order. */
final class Ranking {
  private Ranking() {}

  /** The sum over the group of the softmax of each query's scores. */
  static double[] sumOfShares(float[][] scores) {
    double[] sum = new double[scores[0].length];
    for (float[] ofQuery : scores) {
      double most = Double.NEGATIVE_INFINITY;
      for (float score : ofQuery) {
        most = Math.max(most, score);
      }
      double all = 0;
      for (float score : ofQuery) {
        all += Math.exp(score - most);
      }
      for (int i = 0; i < sum.length; i++) {
        sum[i] += Math.exp(ofQuery[i] - most) / all;
      }
    }
    return sum;
  }

  /** Indices from the largest score down, the lower one among equals. */
  static int[] descending(double[] scores) {
    return IntStream.range(0, scores.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -scores[i]))
        .mapToInt(Integer::intValue)
        .toArray();
  }
}

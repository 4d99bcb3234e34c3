package dev.kvdrive.bench.token;

/** A weighted mean of values, weights the exponentials of logits, one after the other. */
final class RunningSoftmax {
  private final double[] sum;
  private double most = Double.NEGATIVE_INFINITY;
  private double weights;

  RunningSoftmax(int width) {
    sum = new double[width];
  }

  /**
   * Adds {@code times} equal terms.
   *
   * @param value has the value from element {@code at} on
   */
  void add(double logit, int times, float[] value, int at) {
    if (logit > most) {
      double shrink = Math.exp(most - logit);
      weights *= shrink;
      for (int i = 0; i < sum.length; i++) {
        sum[i] *= shrink;
      }
      most = logit;
    }
    double weight = times * Math.exp(logit - most);
    weights += weight;
    for (int i = 0; i < sum.length; i++) {
      sum[i] += weight * value[at + i];
    }
  }

  void write(float[] out, int at) {
    for (int i = 0; i < sum.length; i++) {
      out[at + i] = (float) (sum[i] / weights);
    }
  }
}

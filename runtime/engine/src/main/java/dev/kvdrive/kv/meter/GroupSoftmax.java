package dev.kvdrive.kv.meter;

import java.util.Arrays;

/**
 * Softmax of the queries of a group over tokens that come a few at a time: total, and weighted
 * values, in double. A token may stand for several.
 */
final class GroupSoftmax {
  private final int queries;
  private final int dim;
  private final double[] most;
  private final double[] mass;
  private final double[] values;

  GroupSoftmax(int queries, int dim) {
    this.queries = queries;
    this.dim = dim;
    most = new double[queries];
    mass = new double[queries];
    values = new double[queries * dim];
  }

  void clear() {
    Arrays.fill(most, Double.NEGATIVE_INFINITY);
    Arrays.fill(mass, 0);
    Arrays.fill(values, 0);
  }

  /**
   * Adds tokens.
   *
   * @param query {@code [queries][dim]}
   * @param scale factor on products
   * @param keys {@code [tokens][dim]} from {@code first} tokens on
   * @param value as {@code keys}
   * @param weight how many tokens each stands for
   */
  void add(
      float[] query,
      float scale,
      float[] keys,
      float[] value,
      int first,
      int tokens,
      double weight) {
    for (int g = 0; g < queries; g++) {
      for (int token = first; token < first + tokens; token++) {
        double logit = scale * product(query, g * dim, keys, token * dim);
        if (logit > most[g]) {
          rescale(g, Math.exp(most[g] - logit));
          most[g] = logit;
        }
        double p = weight * Math.exp(logit - most[g]);
        mass[g] += p;
        for (int i = 0; i < dim; i++) {
          values[g * dim + i] += p * value[token * dim + i];
        }
      }
    }
  }

  private double product(float[] a, int atA, float[] b, int atB) {
    float even = 0;
    float odd = 0;
    int i = 0;
    for (; i + 1 < dim; i += 2) {
      even += a[atA + i] * b[atB + i];
      odd += a[atA + i + 1] * b[atB + i + 1];
    }
    return i < dim ? even + odd + a[atA + i] * b[atB + i] : even + odd;
  }

  private void rescale(int g, double factor) {
    mass[g] *= factor;
    for (int i = g * dim; i < (g + 1) * dim; i++) {
      values[i] *= factor;
    }
  }

  /** Logarithm of the total of a query; minus infinity if there was no token. */
  double logMass(int g) {
    return most[g] + Math.log(mass[g]);
  }

  /** Mean value of a query. */
  double mean(int g, int i) {
    return mass[g] == 0 ? 0 : values[g * dim + i] / mass[g];
  }
}

package dev.kvdrive.bench.calibrate;

/**
 * First and second moments of the keys of one (layer, KV head), and second moments of the queries
 * of its group. Filled by one thread.
 */
final class Moments {
  private final int width;
  private final double[] keySum;
  private final double[] keyProducts;
  private final double[] queryProducts;
  private double keys;
  private double queries;

  Moments(int width) {
    this.width = width;
    keySum = new double[width];
    keyProducts = new double[width * width];
    queryProducts = new double[width * width];
  }

  /** Counts a key, {@code width} elements from {@code at} on. */
  void addKey(float[] row, int at) {
    keys++;
    for (int i = 0; i < width; i++) {
      keySum[i] += row[at + i];
    }
    addProducts(row, at, 1, keyProducts);
  }

  /**
   * Counts a query, {@code width} elements from {@code at} on, as much as {@code weight} of them.
   */
  void addQuery(float[] row, int at, double weight) {
    queries += weight;
    addProducts(row, at, weight, queryProducts);
  }

  /** The lower triangle: the rest is the same. */
  private void addProducts(float[] row, int at, double weight, double[] products) {
    for (int i = 0; i < width; i++) {
      double x = weight * row[at + i];
      for (int j = 0; j <= i; j++) {
        products[i * width + j] += x * row[at + j];
      }
    }
  }

  int width() {
    return width;
  }

  double keys() {
    return keys;
  }

  float[] meanKey() {
    float[] mean = new float[width];
    for (int i = 0; i < width; i++) {
      mean[i] = (float) (keySum[i] / keys);
    }
    return mean;
  }

  /** {@code [width][width]} covariance of the keys. */
  double[] keyCovariance() {
    double[] full = new double[width * width];
    for (int i = 0; i < width; i++) {
      for (int j = 0; j <= i; j++) {
        double value = keyProducts[i * width + j] / keys - (keySum[i] / keys) * (keySum[j] / keys);
        full[i * width + j] = value;
        full[j * width + i] = value;
      }
    }
    return full;
  }

  /** {@code [width][width]} second moment of the queries. */
  double[] querySecondMoment() {
    double[] full = new double[width * width];
    for (int i = 0; i < width; i++) {
      for (int j = 0; j <= i; j++) {
        double value = queries == 0 ? 0 : queryProducts[i * width + j] / queries;
        full[i * width + j] = value;
        full[j * width + i] = value;
      }
    }
    return full;
  }
}

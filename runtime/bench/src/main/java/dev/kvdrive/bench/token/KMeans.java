package dev.kvdrive.bench.token;

/** Clusters of vectors by Lloyd's iterations, begun with vectors at equal distances. */
final class KMeans {
  private static final int ITERATIONS = 10;

  private KMeans() {}

  /**
   * The cluster of each vector.
   *
   * @param vectors {@code [count][width]}
   * @param clusters how many
   * @param spherical whether vectors and centroids count by their directions only
   */
  static int[] of(float[][] vectors, int clusters, boolean spherical) {
    int width = vectors[0].length;
    // By columns, so that the distances to all centroids are computed at once.
    float[][] centroid = new float[width][clusters];
    float[] half = new float[clusters];
    for (int c = 0; c < clusters; c++) {
      float[] begin = vectors[(int) ((long) c * vectors.length / clusters)];
      for (int i = 0; i < width; i++) {
        centroid[i][c] = begin[i];
      }
    }
    int[] of = new int[vectors.length];
    float[] products = new float[clusters];
    for (int iteration = 0; iteration <= ITERATIONS; iteration++) {
      for (int c = 0; c < clusters; c++) {
        float square = 0;
        for (int i = 0; i < width; i++) {
          square += centroid[i][c] * centroid[i][c];
        }
        half[c] = spherical ? 0 : square / 2;
      }
      for (int v = 0; v < vectors.length; v++) {
        for (int c = 0; c < clusters; c++) {
          products[c] = -half[c];
        }
        for (int i = 0; i < width; i++) {
          float x = vectors[v][i];
          float[] column = centroid[i];
          for (int c = 0; c < clusters; c++) {
            products[c] += x * column[c];
          }
        }
        int best = 0;
        for (int c = 1; c < clusters; c++) {
          best = products[c] > products[best] ? c : best;
        }
        of[v] = best;
      }
      if (iteration < ITERATIONS) {
        move(vectors, of, centroid, spherical);
      }
    }
    return of;
  }

  /** Moves each centroid to the mean of its vectors; one without any stays. */
  private static void move(float[][] vectors, int[] of, float[][] centroid, boolean spherical) {
    int clusters = centroid[0].length;
    int width = centroid.length;
    int[] size = new int[clusters];
    float[][] sum = new float[clusters][width];
    for (int v = 0; v < vectors.length; v++) {
      size[of[v]]++;
      for (int i = 0; i < width; i++) {
        sum[of[v]][i] += vectors[v][i];
      }
    }
    for (int c = 0; c < clusters; c++) {
      if (size[c] == 0) {
        continue;
      }
      if (spherical) {
        normalise(sum[c]);
      }
      for (int i = 0; i < width; i++) {
        centroid[i][c] = spherical ? sum[c][i] : sum[c][i] / size[c];
      }
    }
  }

  /** Makes a vector's length 1, unless it is 0. */
  static void normalise(float[] vector) {
    float square = 0;
    for (float x : vector) {
      square += x * x;
    }
    if (square > 0) {
      float inverse = (float) (1 / Math.sqrt(square));
      for (int i = 0; i < vector.length; i++) {
        vector[i] *= inverse;
      }
    }
  }
}

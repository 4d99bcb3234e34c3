package dev.kvdrive.bench.token;

import java.util.Arrays;
import java.util.List;

/**
 * PQCache (Zhang et al., SIGMOD 2025). Keys are product-quantised: two halves, each with a codebook
 * of 64 centroids of the prompt's keys. A token's score is the sum over a group of the softmax of
 * its centroids' products; the best tokens within the budget are attended. The paper gives half of
 * its budget to recent tokens; here all methods have the same local ones.
 */
public final class PqCache implements TokenMethod {
  private static final int PARTS = 2;
  private static final int CENTROIDS = 64;
  private static final double CODE_BITS = 6;

  @Override
  public String word() {
    return "pqcache";
  }

  @Override
  public double indexBytes(int headDim) {
    return PARTS * CODE_BITS / Byte.SIZE;
  }

  @Override
  public TokenIndex index(ClosedTokens of) {
    Rows keys = of.keys();
    int width = keys.width() / PARTS;
    int[][] codes = new int[PARTS][];
    float[][][] books = new float[PARTS][CENTROIDS][width];
    for (int part = 0; part < PARTS; part++) {
      float[][] vectors = new float[keys.count()][];
      for (int t = 0; t < vectors.length; t++) {
        vectors[t] = Arrays.copyOfRange(keys.row(t), part * width, (part + 1) * width);
      }
      codes[part] = KMeans.of(vectors, CENTROIDS, false);
      int[] size = new int[CENTROIDS];
      for (int code : codes[part]) {
        size[code]++;
      }
      for (int t = 0; t < vectors.length; t++) {
        int code = codes[part][t];
        for (int i = 0; i < width; i++) {
          books[part][code][i] += vectors[t][i] / size[code];
        }
      }
    }
    return (queries, budget) -> {
      float[][] scores = new float[queries.length][keys.count()];
      for (int g = 0; g < queries.length; g++) {
        for (int part = 0; part < PARTS; part++) {
          float[] table = new float[CENTROIDS];
          for (int c = 0; c < CENTROIDS; c++) {
            for (int i = 0; i < width; i++) {
              table[c] += of.scale() * queries[g][part * width + i] * books[part][c][i];
            }
          }
          for (int t = 0; t < keys.count(); t++) {
            scores[g][t] += table[codes[part][t]];
          }
        }
      }
      int[] order = Ranking.descending(Ranking.sumOfShares(scores));
      return TokenIndex.same(
          queries,
          new TokenIndex.Attended(Arrays.copyOf(order, Math.min(budget, order.length)), List.of()));
    };
  }
}

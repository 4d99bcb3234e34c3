package dev.kvdrive.bench.token;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * ArkVale (Chen et al., NeurIPS 2024). The digest of a page of 32 tokens is a cuboid: the centre of
 * its keys and their mean absolute deviation from it. A page counts by the largest product that a
 * group's queries have with any point of the cuboid, and the best pages within the budget are
 * attended. The paper attends all pages that are resident and recalls the best of the others; here
 * the budget is what is attended, as for all methods. Its first two layers, unlimited there, are
 * sparse here.
 */
public final class ArkVale implements TokenMethod {
  private static final int PAGE = 32;

  @Override
  public String word() {
    return "arkvale";
  }

  @Override
  public double indexBytes(int headDim) {
    return 2.0 * 2 * headDim / PAGE;
  }

  @Override
  public TokenIndex index(ClosedTokens of) {
    Rows keys = of.keys();
    int pages = Math.ceilDiv(keys.count(), PAGE);
    float[][] centre = new float[pages][keys.width()];
    float[][] radius = new float[pages][keys.width()];
    for (int page = 0; page < pages; page++) {
      int from = page * PAGE;
      int to = Math.min(from + PAGE, keys.count());
      for (int i = 0; i < keys.width(); i++) {
        for (int t = from; t < to; t++) {
          centre[page][i] += keys.at(t, i) / (to - from);
        }
        for (int t = from; t < to; t++) {
          radius[page][i] += Math.abs(keys.at(t, i) - centre[page][i]) / (to - from);
        }
      }
    }
    return (queries, budget) -> {
      double[] scores = new double[pages];
      Arrays.fill(scores, Double.NEGATIVE_INFINITY);
      for (float[] query : queries) {
        for (int page = 0; page < pages; page++) {
          double sum = 0;
          for (int i = 0; i < query.length; i++) {
            sum += query[i] * centre[page][i] + Math.abs(query[i]) * radius[page][i];
          }
          scores[page] = Math.max(scores[page], of.scale() * sum);
        }
      }
      int[] tokens =
          Arrays.stream(Ranking.descending(scores))
              .flatMap(
                  page -> IntStream.range(page * PAGE, Math.min((page + 1) * PAGE, keys.count())))
              .limit(budget)
              .toArray();
      return TokenIndex.same(queries, new TokenIndex.Attended(tokens, List.of()));
    };
  }
}

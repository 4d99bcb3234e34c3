package dev.kvdrive.bench.token;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * RetroInfer (Chen et al., VLDB 2026). Keys, centred, are clustered by spherical k-means (10
 * iterations) in segments of 8192 tokens, 16 tokens a cluster on average. Clusters count by the sum
 * over a group of the softmax of their centroids' products. The first are attended whole, as many
 * as the budget has room for; the next ones are estimated by centroid, mean value and size, 23.2
 * tokens for each 1.8 of the budget as in the paper; the rest is dropped. What the policy of this
 * name, which chooses chunks, is compared with.
 */
public final class RetroInfer implements TokenMethod {
  private static final int SEGMENT = 8192;
  private static final int CLUSTER = 16;
  private static final double ESTIMATED = 23.2 / 1.8;

  @Override
  public String word() {
    return "retroinfer-tokens";
  }

  @Override
  public double indexBytes(int headDim) {
    // Centroid, sum of values, size.
    return (2.0 * 2 * headDim + 4) / CLUSTER;
  }

  @Override
  public TokenIndex index(ClosedTokens closed) {
    Rows keys = closed.keys();
    Rows values = closed.values();
    float[][] centred = new float[keys.count()][];
    float[] mean = new float[keys.width()];
    for (int t = 0; t < centred.length; t++) {
      centred[t] = keys.row(t);
      for (int i = 0; i < mean.length; i++) {
        mean[i] += centred[t][i] / centred.length;
      }
    }
    for (float[] key : centred) {
      for (int i = 0; i < mean.length; i++) {
        key[i] -= mean[i];
      }
      KMeans.normalise(key);
    }
    List<List<Integer>> members = new ArrayList<>();
    for (int from = 0; from < centred.length; from += SEGMENT) {
      float[][] segment =
          Arrays.copyOfRange(centred, from, Math.min(from + SEGMENT, centred.length));
      int clusters = Math.ceilDiv(segment.length, CLUSTER);
      int[] of = KMeans.of(segment, clusters, true);
      int before = members.size();
      for (int c = 0; c < clusters; c++) {
        members.add(new ArrayList<>());
      }
      for (int t = 0; t < of.length; t++) {
        members.get(before + of[t]).add(from + t);
      }
    }
    members.removeIf(List::isEmpty);
    List<TokenIndex.Estimate> clusters =
        members.stream()
            .map(of -> new TokenIndex.Estimate(mean(keys, of), mean(values, of), of.size()))
            .toList();
    return (queries, budget) ->
        TokenIndex.same(queries, choose(members, clusters, queries, closed.scale(), budget));
  }

  private static float[] mean(Rows rows, List<Integer> of) {
    float[] mean = new float[rows.width()];
    for (int t : of) {
      for (int i = 0; i < mean.length; i++) {
        mean[i] += rows.at(t, i) / of.size();
      }
    }
    return mean;
  }

  private static TokenIndex.Attended choose(
      List<List<Integer>> members,
      List<TokenIndex.Estimate> clusters,
      float[][] queries,
      float scale,
      int budget) {
    float[][] scores = new float[queries.length][clusters.size()];
    for (int g = 0; g < queries.length; g++) {
      for (int c = 0; c < clusters.size(); c++) {
        float[] centroid = clusters.get(c).key();
        float sum = 0;
        for (int i = 0; i < centroid.length; i++) {
          sum += queries[g][i] * centroid[i];
        }
        scores[g][c] = scale * sum;
      }
    }
    int[] order = Ranking.descending(Ranking.sumOfShares(scores));
    List<Integer> exact = new ArrayList<>();
    List<TokenIndex.Estimate> estimates = new ArrayList<>();
    int next = 0;
    while (next < order.length && exact.size() + members.get(order[next]).size() <= budget) {
      exact.addAll(members.get(order[next++]));
    }
    int estimated = 0;
    while (next < order.length && estimated < ESTIMATED * budget) {
      estimates.add(clusters.get(order[next]));
      estimated += clusters.get(order[next++]).tokens();
    }
    return new TokenIndex.Attended(exact.stream().mapToInt(Integer::intValue).toArray(), estimates);
  }
}

package dev.kvdrive.bench.token;

import dev.kvdrive.device.Bfloat16;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * ParisKV (Qi et al., ICML 2026). Keys and queries, their lengths taken off, are turned by random
 * signs and a Hadamard transform, and cut into blocks of 8 elements. In each block a key belongs to
 * the centroid of its signs, one of 256, which are the same for all data. A query orders the
 * centroids of a block by their products with it; keys of the first ones, until they are a share of
 * all keys, collide, and get 6 votes in the first 5 % of that share, then 5 up to 15 %, 4 up to 30
 * %, 3 up to 50 %, 2 up to 75 % and 1. The keys with the most votes are candidates, and of these
 * the best within the budget are attended, by products with keys of 4 bits an element: sign and one
 * of 8 magnitudes, the Lloyd-Max quantiser of an element of a random direction in 8 dimensions, a
 * weight for each block that makes the estimate right in the key's own direction. Both shares
 * depend on how many keys there are.
 *
 * <p>What is different here: the queries of a group vote each, and candidates count by the sum of
 * their shares as for the other methods; its code takes the mean of the queries. Heads of other
 * than a power of two of elements are filled with zeros.
 */
public final class ParisKv implements TokenMethod {
  private static final int BLOCK = 8;
  private static final int CENTROIDS = 1 << BLOCK;
  private static final double[] TIERS = {0.05, 0.15, 0.30, 0.50, 0.75, 1.0};
  private static final float[] BOUNDS = {0.084f, 0.170f, 0.258f, 0.350f, 0.449f, 0.559f, 0.690f};
  private static final float[] MAGNITUDES = {
    0.042f, 0.127f, 0.213f, 0.303f, 0.397f, 0.500f, 0.617f, 0.763f
  };
  private static final long SEED = 8;

  @Override
  public String word() {
    return "pariskv";
  }

  @Override
  public double indexBytes(int headDim) {
    // For each block a centroid, a weight of 16 bits, and 8 elements of 4 bits.
    return padded(headDim) / (double) BLOCK * (1 + 2 + 4);
  }

  /** The share of keys that are candidates. */
  private static double candidates(int keys) {
    return keys < 5_000 ? 0.5 : keys < 10_000 ? 0.25 : keys < 30_000 ? 0.2 : 0.1;
  }

  /** The share of keys that collide in a block. */
  private static double colliding(int keys) {
    return keys < 5_000 ? 0.5 : keys < 10_000 ? 0.3 : keys < 30_000 ? 0.25 : 0.2;
  }

  private static int padded(int width) {
    return Math.max(BLOCK, Integer.highestOneBit(2 * width - 1));
  }

  @Override
  public TokenIndex index(ClosedTokens of) {
    int width = padded(of.keys().width());
    int blocks = width / BLOCK;
    int count = of.keys().count();
    int[][] centroid = new int[blocks][count];
    int[][] members = new int[blocks][CENTROIDS];
    // What the 4 bits and the weights stand for.
    float[][] estimated = new float[count][width];
    for (int t = 0; t < count; t++) {
      float[] key = of.keys().row(t);
      float length = length(key, 0, key.length);
      float[] turned = turned(key, width);
      for (int b = 0; b < blocks; b++) {
        centroid[b][t] = signs(turned, b);
        members[b][centroid[b][t]]++;
        quantise(turned, b, length, estimated[t]);
      }
    }
    return (queries, budget) -> {
      long[] votes = new long[count];
      float[][] scores = new float[queries.length][];
      float[][] turned = new float[queries.length][];
      for (int g = 0; g < queries.length; g++) {
        turned[g] = turned(queries[g], width);
        vote(turned[g], centroid, members, votes);
      }
      int some = (int) Math.ceil(candidates(count) * count);
      int[] chosen =
          Arrays.copyOf(
              Ranking.descending(Arrays.stream(votes).asDoubleStream().toArray()),
              Math.min(count, Math.max(some, budget)));
      for (int g = 0; g < queries.length; g++) {
        scores[g] = new float[chosen.length];
        float factor = of.scale() * length(queries[g], 0, queries[g].length);
        for (int c = 0; c < chosen.length; c++) {
          float sum = 0;
          for (int i = 0; i < width; i++) {
            sum += turned[g][i] * estimated[chosen[c]][i];
          }
          scores[g][c] = factor * sum;
        }
      }
      int[] best =
          Arrays.stream(Ranking.descending(Ranking.sumOfShares(scores)))
              .limit(budget)
              .map(c -> chosen[c])
              .toArray();
      return TokenIndex.same(queries, new TokenIndex.Attended(best, List.of()));
    };
  }

  /** Adds the votes of a query. */
  static void vote(float[] query, int[][] centroid, int[][] members, long[] votes) {
    int count = votes.length;
    for (int b = 0; b < centroid.length; b++) {
      double[] products = new double[CENTROIDS];
      for (int c = 0; c < CENTROIDS; c++) {
        for (int i = 0; i < BLOCK; i++) {
          float x = query[b * BLOCK + i];
          products[c] += (c >> i & 1) == 1 ? x : -x;
        }
      }
      int[] ofCentroid = new int[CENTROIDS];
      int before = 0;
      for (int c : Ranking.descending(products)) {
        for (int tier = TIERS.length - 1; tier >= 0; tier--) {
          if (before < Math.ceil(count * colliding(count) * TIERS[tier])) {
            ofCentroid[c] = TIERS.length - tier;
          }
        }
        before += members[b][c];
      }
      for (int t = 0; t < count; t++) {
        votes[t] += ofCentroid[centroid[b][t]];
      }
    }
  }

  private static int signs(float[] turned, int block) {
    int signs = 0;
    for (int i = 0; i < BLOCK; i++) {
      signs |= turned[block * BLOCK + i] >= 0 ? 1 << i : 0;
    }
    return signs;
  }

  private static void quantise(float[] turned, int block, float ofKey, float[] out) {
    float radius = length(turned, block * BLOCK, BLOCK);
    if (radius == 0) {
      return;
    }
    float along = 0;
    for (int i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
      float magnitude = Math.abs(turned[i]) / radius;
      float quantised = MAGNITUDES[level(magnitude)];
      along += magnitude * quantised;
      out[i] = turned[i] >= 0 ? quantised : -quantised;
    }
    float weight = Bfloat16.widen(Bfloat16.round(radius / along * ofKey));
    for (int i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
      out[i] *= weight;
    }
  }

  private static int level(float magnitude) {
    return (int) IntStream.range(0, BOUNDS.length).filter(i -> magnitude > BOUNDS[i]).count();
  }

  private static float length(float[] vector, int from, int count) {
    double square = 0;
    for (int i = from; i < from + count; i++) {
      square += (double) vector[i] * vector[i];
    }
    return (float) Math.sqrt(square);
  }

  /** A vector of length 1, turned. */
  static float[] turned(float[] vector, int width) {
    float[] out = Arrays.copyOf(vector, width);
    float inverse = 1 / Math.max(length(out, 0, width), 1e-30f);
    Random random = new Random(SEED);
    for (int i = 0; i < width; i++) {
      out[i] *= random.nextBoolean() ? inverse : -inverse;
    }
    for (int half = 1; half < width; half *= 2) {
      for (int i = 0; i < width; i++) {
        if ((i & half) == 0) {
          float a = out[i];
          float b = out[i + half];
          out[i] = a + b;
          out[i + half] = a - b;
        }
      }
    }
    float root = (float) (1 / Math.sqrt(width));
    for (int i = 0; i < width; i++) {
      out[i] *= root;
    }
    return out;
  }
}

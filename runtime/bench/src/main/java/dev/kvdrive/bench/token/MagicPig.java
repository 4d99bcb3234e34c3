package dev.kvdrive.bench.token;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * MagicPIG (Chen et al., ICLR 2025). Attention is estimated from a sample. Keys, less their mean,
 * and queries are hashed by random hyperplanes, K bits in each of L tables; a token is in a query's
 * sample if both collide in two tables at least. That happens with the probability {@code w = 1 -
 * (1 - p^K)^L - L p^K (1 - p^K)^(L-1)}, {@code p = 1 - angle / pi}, and the sampled token counts
 * {@code 1 / w} times: {@code -log w} is added to its logit. With K = 10 and L = 150 about 2 % of
 * the tokens are sampled, with K = 8 and L = 75 about 5 %, the paper's settings; the first is taken
 * for budgets below 4 %, the second above. Layers 0, 16, 32 and so on are dense.
 *
 * <p>What is different here: a sample larger than the budget is drawn down to it, with equal
 * probabilities by which the weights are corrected, so that no method attends more than another;
 * and the budget is that of each query, since each has a sample of its own. The tables of the
 * second setting are the first bits of the first tables of the other.
 */
public final class MagicPig implements TokenMethod {
  private static final int BITS = 10;
  private static final int TABLES = 150;
  private static final int FEW_BITS = 8;
  private static final int FEW_TABLES = 75;
  private static final double SPARSE = 0.04;
  private static final int DENSE_EVERY = 16;
  private static final long SEED = 10;

  @Override
  public String word() {
    return "magicpig";
  }

  @Override
  public double indexBytes(int headDim) {
    // The tables, and the mean of the keys.
    return (double) BITS * TABLES / Byte.SIZE;
  }

  @Override
  public boolean dense(int layer) {
    return layer % DENSE_EVERY == 0;
  }

  @Override
  public TokenIndex index(ClosedTokens of) {
    float[][] planes = planes(of.keys().width());
    float[] mean = new float[of.keys().width()];
    for (int t = 0; t < of.keys().count(); t++) {
      for (int i = 0; i < mean.length; i++) {
        mean[i] += of.keys().at(t, i) / of.keys().count();
      }
    }
    short[][] codes = new short[TABLES][of.keys().count()];
    for (int t = 0; t < of.keys().count(); t++) {
      short[] own = hashed(centred(of.keys(), t, mean), planes);
      for (int table = 0; table < TABLES; table++) {
        codes[table][t] = own[table];
      }
    }
    return (queries, budget) -> {
      List<TokenIndex.Attended> samples = new ArrayList<>();
      for (float[] query : queries) {
        boolean sparse = budget < SPARSE * of.keys().count();
        samples.add(
            sample(
                of.keys(),
                mean,
                codes,
                hashed(query, planes),
                query,
                sparse ? BITS : FEW_BITS,
                sparse ? TABLES : FEW_TABLES,
                budget));
      }
      return samples;
    };
  }

  private static TokenIndex.Attended sample(
      Rows keys,
      float[] mean,
      short[][] codes,
      short[] ofQuery,
      float[] query,
      int bits,
      int tables,
      int budget) {
    int mask = (1 << bits) - 1;
    int[] collisions = new int[keys.count()];
    for (int table = 0; table < tables; table++) {
      short[] column = codes[table];
      int own = ofQuery[table];
      for (int t = 0; t < collisions.length; t++) {
        collisions[t] += ((column[t] ^ own) & mask) == 0 ? 1 : 0;
      }
    }
    List<Integer> sampled = new ArrayList<>();
    for (int t = 0; t < collisions.length; t++) {
      if (collisions[t] >= 2) {
        sampled.add(t);
      }
    }
    double kept = Math.min(1, (double) budget / Math.max(1, sampled.size()));
    if (sampled.size() > budget) {
      // The same query draws the same.
      Collections.shuffle(sampled, new Random(Arrays.hashCode(query)));
      sampled = sampled.subList(0, budget);
    }
    int[] tokens = sampled.stream().mapToInt(Integer::intValue).toArray();
    double[] corrections = new double[tokens.length];
    for (int i = 0; i < tokens.length; i++) {
      double angle = angle(query, centred(keys, tokens[i], mean));
      corrections[i] = -Math.log(probability(angle, bits, tables) * kept);
    }
    return new TokenIndex.Attended(tokens, corrections, List.of());
  }

  /** With which a key at an angle to the query collides in two tables at least. */
  static double probability(double angle, int bits, int tables) {
    double all = Math.pow(1 - angle / Math.PI, bits);
    double none = Math.pow(1 - all, tables);
    double one = tables * all * Math.pow(1 - all, tables - 1);
    // What was sampled had some chance, whatever is left of it in a difference of sums.
    return Math.max(1 - none - one, 1e-9);
  }

  private static double angle(float[] a, float[] b) {
    double product = 0;
    double ofA = 0;
    double ofB = 0;
    for (int i = 0; i < a.length; i++) {
      product += (double) a[i] * b[i];
      ofA += (double) a[i] * a[i];
      ofB += (double) b[i] * b[i];
    }
    double cosine = product / Math.max(Math.sqrt(ofA * ofB), 1e-30);
    return Math.acos(Math.clamp(cosine, -1, 1));
  }

  private static float[] centred(Rows keys, int token, float[] mean) {
    float[] key = keys.row(token);
    for (int i = 0; i < key.length; i++) {
      key[i] -= mean[i];
    }
    return key;
  }

  /** {@code [element][table * BITS + bit]}. */
  private static float[][] planes(int width) {
    Random random = new Random(SEED);
    float[][] planes = new float[width][TABLES * BITS];
    for (float[] row : planes) {
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) random.nextGaussian();
      }
    }
    return planes;
  }

  /** A code for each table. */
  private static short[] hashed(float[] vector, float[][] planes) {
    float[] products = new float[TABLES * BITS];
    for (int i = 0; i < vector.length; i++) {
      float x = vector[i];
      float[] row = planes[i];
      for (int p = 0; p < products.length; p++) {
        products[p] += x * row[p];
      }
    }
    short[] codes = new short[TABLES];
    for (int p = 0; p < products.length; p++) {
      if (products[p] > 0) {
        codes[p / BITS] |= (short) (1 << (p % BITS));
      }
    }
    return codes;
  }
}

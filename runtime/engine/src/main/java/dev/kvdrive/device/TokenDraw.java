package dev.kvdrive.device;

import java.util.Arrays;

/**
 * Chooses tokens from logits in host memory as {@link RowSampling} says, for devices whose memory
 * is the host's and for what the host chooses by itself. Sorts only what a cut by rank needs. Owns
 * scratch for one row: not for several threads at once.
 */
public final class TokenDraw {
  private final int[] order;
  private final long[] masses;

  /**
   * @param width logits of a row at most
   */
  public TokenDraw(int width) {
    order = new int[width];
    masses = new long[width];
  }

  /** The largest of the first {@code width} logits, the lowest index among equals. */
  public static int likeliest(float[] logits, int width) {
    int best = 0;
    for (int i = 1; i < width; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  /** Whether each of the first {@code width} logits is a number, and none is infinite. */
  public static boolean finite(float[] logits, int width) {
    float sum = 0;
    for (int i = 0; i < width; i++) {
      sum += logits[i] * 0f;
    }
    return sum == 0;
  }

  /** Puts the {@code count} likeliest tokens in order, for {@link #ranked}. */
  public int rank(float[] logits, int width, int count) {
    // A heap of the best so far with the worst of them on top, then taken apart from the worst on.
    int n = Math.min(count, width);
    for (int i = 0; i < n; i++) {
      order[i] = i;
    }
    for (int i = n / 2 - 1; i >= 0; i--) {
      siftWorst(logits, i, n);
    }
    for (int token = n; token < width; token++) {
      if (before(logits, token, order[0])) {
        order[0] = token;
        siftWorst(logits, 0, n);
      }
    }
    for (int left = n - 1; left > 0; left--) {
      int worst = order[0];
      order[0] = order[left];
      order[left] = worst;
      siftWorst(logits, 0, left);
    }
    return n;
  }

  /** The token of a rank, after {@link #rank}. */
  public int ranked(int rank) {
    return order[rank];
  }

  /**
   * Chooses a token.
   *
   * @param logits finite ones, unless the temperature is 0
   * @param width how many
   * @return its index
   */
  public int choose(
      float[] logits,
      int width,
      double temperature,
      int topK,
      double topP,
      double minP,
      long draw) {
    int likeliest = likeliest(logits, width);
    if (temperature == 0) {
      return likeliest;
    }
    float most = logits[likeliest];
    int kept = width;
    if (topK > 0 && topK < width) {
      kept = rank(logits, width, topK);
      if (topP < 1) {
        kept = cut(logits, kept, most, temperature, topP);
      }
    } else if (topP < 1) {
      kept = rankUntil(logits, width, most, temperature, topP);
    }
    boolean all = kept == width;
    if (!all) {
      Arrays.sort(order, 0, kept);
    }
    long sum = 0;
    for (int i = 0; i < kept; i++) {
      double weight = weight(logits[all ? i : order[i]], most, temperature);
      masses[i] = weight < minP ? 0 : mass(weight);
      sum += masses[i];
    }
    long left = Math.unsignedMultiplyHigh(draw, sum);
    int i = 0;
    while (left >= masses[i]) {
      left -= masses[i++];
    }
    return all ? i : order[i];
  }

  private static double weight(float logit, float most, double temperature) {
    return Math.exp(((double) logit - most) / temperature);
  }

  private static long mass(double weight) {
    return (long) (weight * RowSampling.WHOLE);
  }

  private static long wanted(double topP, long sum) {
    return Math.max(1, (long) Math.ceil(topP * sum));
  }

  /** Of the first {@code n} ranked, those that have a share of their weight. */
  private int cut(float[] logits, int n, float most, double temperature, double topP) {
    long sum = 0;
    for (int i = 0; i < n; i++) {
      masses[i] = mass(weight(logits[order[i]], most, temperature));
      sum += masses[i];
    }
    long wanted = wanted(topP, sum);
    int kept = 0;
    for (long have = 0; have < wanted; kept++) {
      have += masses[kept];
    }
    return kept;
  }

  /**
   * Ranks only as many tokens as have a share of the weight: takes them off a heap, each to the end
   * of the array as the heap shrinks, and moves them to its beginning.
   */
  private int rankUntil(float[] logits, int n, float most, double temperature, double topP) {
    long sum = 0;
    for (int i = 0; i < n; i++) {
      order[i] = i;
      sum += mass(weight(logits[i], most, temperature));
    }
    long wanted = wanted(topP, sum);
    for (int i = n / 2 - 1; i >= 0; i--) {
      siftBest(logits, i, n);
    }
    int left = n;
    for (long have = 0; have < wanted; ) {
      int token = order[0];
      left--;
      order[0] = order[left];
      siftBest(logits, 0, left);
      order[left] = token;
      have += mass(weight(logits[token], most, temperature));
    }
    System.arraycopy(order, left, order, 0, n - left);
    return n - left;
  }

  private static boolean before(float[] logits, int a, int b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  }

  private void siftWorst(float[] logits, int at, int n) {
    int token = order[at];
    for (int child = 2 * at + 1; child < n; child = 2 * at + 1) {
      if (child + 1 < n && before(logits, order[child], order[child + 1])) {
        child++;
      }
      if (!before(logits, token, order[child])) {
        break;
      }
      order[at] = order[child];
      at = child;
    }
    order[at] = token;
  }

  private void siftBest(float[] logits, int at, int n) {
    int token = order[at];
    for (int child = 2 * at + 1; child < n; child = 2 * at + 1) {
      if (child + 1 < n && before(logits, order[child + 1], order[child])) {
        child++;
      }
      if (!before(logits, order[child], token)) {
        break;
      }
      order[at] = order[child];
      at = child;
    }
    order[at] = token;
  }
}

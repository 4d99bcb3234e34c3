package dev.kvdrive.schedule;

import dev.kvdrive.schedule.GeneratedToken.TokenLogprob;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Chooses tokens from logits on the host. One for the engine, with scratch for one row of logits;
 * used on the engine thread.
 *
 * <p>Candidates are ordered by logit, the lower token first among equals; cut by top-k, top-p and
 * min-p in this order, and drawn by their probability after temperature. Where nothing needs the
 * order, nothing is sorted: the draw goes through the vocabulary as it is.
 */
final class TokenChooser {
  /** Logits of the row as the model made them. */
  private final float[] raw;

  /** What candidates are ordered and drawn by: {@link #raw}, or a copy with penalties. */
  private float[] logits;

  private final float[] penalised;
  private final int[] heap;
  private final double[] weights;

  TokenChooser(int vocabulary) {
    raw = new float[vocabulary];
    logits = raw;
    penalised = new float[vocabulary];
    heap = new int[vocabulary];
    weights = new double[vocabulary];
  }

  /** Where the caller puts the logits of a row, before anything else. */
  float[] logits() {
    return raw;
  }

  /** Whether every logit is a number, so that the row can be used at all. */
  boolean finite() {
    float sum = 0;
    for (float logit : raw) {
      sum += logit * 0f;
    }
    return sum == 0;
  }

  /**
   * Natural logarithm of the softmax denominator of the logits, in double: the log-probability of a
   * token is its logit minus this.
   */
  double logSumExp() {
    logits = raw;
    double max = raw[likeliest()];
    double sum = 0;
    for (float logit : raw) {
      sum += Math.exp(logit - max);
    }
    return max + Math.log(sum);
  }

  /** The {@code count} most likely tokens, best first. */
  List<TokenLogprob> top(int count, double logSumExp) {
    logits = raw;
    int n = best(Math.min(count, raw.length));
    List<TokenLogprob> top = new ArrayList<>(n);
    for (int i = 0; i < n; i++) {
      top.add(new TokenLogprob(heap[i], (float) (raw[heap[i]] - logSumExp)));
    }
    return top;
  }

  /**
   * Chooses a token.
   *
   * @param seen tokens of prompt and text; null if no penalty is asked for
   */
  int choose(Sampling sampling, @Nullable TokenCounts seen, RandomDraws random) {
    logits = raw;
    if (seen != null) {
      System.arraycopy(raw, 0, penalised, 0, raw.length);
      logits = penalised;
      penalise(sampling, seen);
    }
    if (sampling.temperature() == 0) {
      return likeliest();
    }
    int candidates;
    boolean ordered = true;
    float max;
    if (sampling.topK() > 0 && sampling.topK() < logits.length) {
      candidates = best(sampling.topK());
      max = logits[heap[0]];
      double mass = weigh(candidates, max, sampling.temperature());
      candidates = cutByMass(candidates, sampling.topP() * mass);
    } else if (sampling.topP() < 1) {
      max = logits[likeliest()];
      candidates = orderUntilMass(sampling, max);
    } else {
      max = logits[likeliest()];
      for (int i = 0; i < logits.length; i++) {
        heap[i] = i;
      }
      candidates = logits.length;
      weigh(candidates, max, sampling.temperature());
      ordered = false;
    }
    return draw(candidates, ordered, sampling.minP(), random.next());
  }

  private void penalise(Sampling sampling, TokenCounts seen) {
    float repetition = (float) sampling.repetitionPenalty();
    for (int slot = 0; slot < seen.slots(); slot++) {
      int token = seen.token(slot);
      if (token < 0 || token >= logits.length) {
        continue;
      }
      float logit = logits[token];
      logit = logit > 0 ? logit / repetition : logit * repetition;
      int count = seen.count(slot);
      if (count > 0) {
        logit -= (float) (sampling.frequencyPenalty() * count + sampling.presencePenalty());
      }
      logits[token] = logit;
    }
  }

  private int likeliest() {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  /** Whether token {@code a} comes before token {@code b}. */
  private boolean before(int a, int b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  }

  /** Puts the best {@code count} tokens in order at the start of the heap array. */
  private int best(int count) {
    // A heap of the best so far with the worst of them on top, then taken apart from the worst on.
    for (int i = 0; i < count; i++) {
      heap[i] = i;
    }
    for (int i = count / 2 - 1; i >= 0; i--) {
      siftWorst(i, count);
    }
    for (int token = count; token < logits.length; token++) {
      if (before(token, heap[0])) {
        heap[0] = token;
        siftWorst(0, count);
      }
    }
    for (int n = count - 1; n > 0; n--) {
      int worst = heap[0];
      heap[0] = heap[n];
      heap[n] = worst;
      siftWorst(0, n);
    }
    return count;
  }

  private void siftWorst(int at, int n) {
    int token = heap[at];
    for (int child = 2 * at + 1; child < n; child = 2 * at + 1) {
      if (child + 1 < n && before(heap[child], heap[child + 1])) {
        child++;
      }
      if (!before(token, heap[child])) {
        break;
      }
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = token;
  }

  private void siftBest(int at, int n) {
    int token = heap[at];
    for (int child = 2 * at + 1; child < n; child = 2 * at + 1) {
      if (child + 1 < n && before(heap[child + 1], heap[child])) {
        child++;
      }
      if (!before(heap[child], token)) {
        break;
      }
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = token;
  }

  /** Weights of the first {@code n} candidates; returns their sum. */
  private double weigh(int n, float max, double temperature) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      weights[i] = Math.exp((logits[heap[i]] - max) / temperature);
      sum += weights[i];
    }
    return sum;
  }

  /** Candidates, of those in order, whose weights reach {@code mass}; at least one. */
  private int cutByMass(int n, double mass) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += weights[i];
      if (sum >= mass) {
        return i + 1;
      }
    }
    return n;
  }

  /**
   * Orders only as many tokens as top-p keeps: takes them off a heap until their mass is reached.
   * The tokens taken are put at the end of the array as the heap shrinks, then turned round.
   */
  private int orderUntilMass(Sampling sampling, float max) {
    int n = logits.length;
    double mass = 0;
    for (int i = 0; i < n; i++) {
      heap[i] = i;
      mass += Math.exp((logits[i] - max) / sampling.temperature());
    }
    double wanted = sampling.topP() * mass;
    for (int i = n / 2 - 1; i >= 0; i--) {
      siftBest(i, n);
    }
    double sum = 0;
    int left = n;
    while (left > 0 && (left == n || sum < wanted)) {
      int token = heap[0];
      left--;
      heap[0] = heap[left];
      siftBest(0, left);
      heap[left] = token;
      weights[n - 1 - left] = Math.exp((logits[token] - max) / sampling.temperature());
      sum += weights[n - 1 - left];
    }
    for (int i = 0, j = n - 1; i < j; i++, j--) {
      int token = heap[i];
      heap[i] = heap[j];
      heap[j] = token;
    }
    return n - left;
  }

  private int draw(int candidates, boolean ordered, double minP, double random) {
    // The best candidate's weight is 1 by construction.
    double sum = 0;
    int kept = 0;
    for (int i = 0; i < candidates; i++) {
      if (weights[i] < minP) {
        if (ordered) {
          break;
        }
        continue;
      }
      heap[kept] = heap[i];
      weights[kept] = weights[i];
      sum += weights[i];
      kept++;
    }
    double at = random * sum;
    for (int i = 0; i < kept - 1; i++) {
      at -= weights[i];
      if (at < 0) {
        return heap[i];
      }
    }
    return heap[kept - 1];
  }
}

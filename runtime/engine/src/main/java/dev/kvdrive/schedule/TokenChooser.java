package dev.kvdrive.schedule;

import dev.kvdrive.device.TokenDraw;
import dev.kvdrive.schedule.GeneratedToken.TokenLogprob;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Chooses tokens from logits on the host, where the device does not: the first of an answer, and
 * those with penalties. Also tells what tokens were likely. One for the engine, with scratch for
 * one row of logits; used on the engine thread.
 */
final class TokenChooser {
  /** Logits of the row as the model made them. */
  private final float[] raw;

  private final float[] penalised;
  private final TokenDraw draw;

  TokenChooser(int vocabulary) {
    raw = new float[vocabulary];
    penalised = new float[vocabulary];
    draw = new TokenDraw(vocabulary);
  }

  /** Where the caller puts the logits of a row, before anything else. */
  float[] logits() {
    return raw;
  }

  /** Whether every logit is a number, so that the row can be used at all. */
  boolean finite() {
    return TokenDraw.finite(raw, raw.length);
  }

  /**
   * Natural logarithm of the softmax denominator of the logits, in double: the log-probability of a
   * token is its logit minus this.
   */
  double logSumExp() {
    double max = raw[TokenDraw.likeliest(raw, raw.length)];
    double sum = 0;
    for (float logit : raw) {
      sum += Math.exp(logit - max);
    }
    return max + Math.log(sum);
  }

  /** The {@code count} most likely tokens, best first. */
  List<TokenLogprob> top(int count, double logSumExp) {
    int n = draw.rank(raw, raw.length, count);
    List<TokenLogprob> top = new ArrayList<>(n);
    for (int rank = 0; rank < n; rank++) {
      int token = draw.ranked(rank);
      top.add(new TokenLogprob(token, (float) (raw[token] - logSumExp)));
    }
    return top;
  }

  /**
   * Chooses a token, as a device does from the same logits: {@link dev.kvdrive.device.RowSampling}.
   *
   * @param seen tokens of prompt and text; null if no penalty is asked for
   * @param bits 64 random ones
   */
  int choose(Sampling sampling, @Nullable TokenCounts seen, long bits) {
    float[] logits = raw;
    if (seen != null) {
      System.arraycopy(raw, 0, penalised, 0, raw.length);
      logits = penalised;
      penalise(sampling, seen);
    }
    return draw.choose(
        logits,
        logits.length,
        (float) sampling.temperature(),
        sampling.topK(),
        (float) sampling.topP(),
        (float) sampling.minP(),
        bits);
  }

  private void penalise(Sampling sampling, TokenCounts seen) {
    float repetition = (float) sampling.repetitionPenalty();
    for (int slot = 0; slot < seen.slots(); slot++) {
      int token = seen.token(slot);
      if (token < 0 || token >= penalised.length) {
        continue;
      }
      float logit = penalised[token];
      logit = logit > 0 ? logit / repetition : logit * repetition;
      int count = seen.count(slot);
      if (count > 0) {
        logit -= (float) (sampling.frequencyPenalty() * count + sampling.presencePenalty());
      }
      penalised[token] = logit;
    }
  }
}

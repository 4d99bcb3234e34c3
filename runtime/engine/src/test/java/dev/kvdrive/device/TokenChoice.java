package dev.kvdrive.device;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;

/**
 * What {@link RowSampling} says, written out for one row.
 *
 * @param token the one that is chosen; -1 if none can be
 * @param weights of all tokens that may be, in the order of tokens
 */
record TokenChoice(int token, TreeMap<Integer, Long> weights) {
  static TokenChoice of(float[] logits, int[] words) {
    float temperature = Float.intBitsToFloat(words[RowSampling.TEMPERATURE / 4]);
    int topK = words[RowSampling.TOP_K / 4];
    float topP = Float.intBitsToFloat(words[RowSampling.TOP_P / 4]);
    float minP = Float.intBitsToFloat(words[RowSampling.MIN_P / 4]);
    long draw =
        Integer.toUnsignedLong(words[RowSampling.DRAW / 4])
            | (long) words[RowSampling.DRAW / 4 + 1] << 32;
    List<Integer> tokens = new ArrayList<>();
    for (int i = 0; i < logits.length; i++) {
      if (Float.isNaN(logits[i]) || (temperature > 0 && Float.isInfinite(logits[i]))) {
        return new TokenChoice(-1, new TreeMap<>());
      }
      tokens.add(i);
    }
    tokens.sort(Comparator.comparingDouble((Integer i) -> -logits[i] + 0.0));
    int first = tokens.getFirst();
    TreeMap<Integer, Long> weights = new TreeMap<>();
    if (temperature == 0) {
      weights.put(first, RowSampling.WHOLE);
      return new TokenChoice(first, weights);
    }
    if (topK > 0 && topK < tokens.size()) {
      tokens = tokens.subList(0, topK);
    }
    long all = 0;
    for (int token : tokens) {
      all += mass(logits[token], logits[first], temperature);
    }
    long wanted = topP < 1 ? (long) Math.ceil((double) topP * all) : Long.MAX_VALUE;
    long have = 0;
    for (int token : tokens) {
      if (have >= wanted) {
        break;
      }
      have += mass(logits[token], logits[first], temperature);
      if (Math.exp(((double) logits[token] - logits[first]) / temperature) >= minP) {
        weights.put(token, mass(logits[token], logits[first], temperature));
      }
    }
    long sum = weights.values().stream().mapToLong(Long::longValue).sum();
    long left = Math.unsignedMultiplyHigh(draw, sum);
    for (var entry : weights.entrySet()) {
      if (left < entry.getValue()) {
        return new TokenChoice(entry.getKey(), weights);
      }
      left -= entry.getValue();
    }
    throw new AssertionError("weights of %d are too little for a draw".formatted(sum));
  }

  private static long mass(float logit, float most, float temperature) {
    return (long) (Math.exp(((double) logit - most) / temperature) * RowSampling.WHOLE);
  }
}

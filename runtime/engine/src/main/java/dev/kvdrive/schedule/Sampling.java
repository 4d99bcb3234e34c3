package dev.kvdrive.schedule;

/**
 * How the next token is chosen from the logits. Order: penalties, temperature, top-k, top-p, min-p,
 * draw.
 *
 * @param temperature 0 for greedy
 * @param topK candidates kept, 0 for all
 * @param topP probability mass kept, in (0, 1]
 * @param minP share of the best candidate's probability a candidate needs, in [0, 1)
 * @param repetitionPenalty factor on logits of tokens seen in prompt or text, 1 for none
 * @param frequencyPenalty subtracted per occurrence in the generated text
 * @param presencePenalty subtracted once if in the generated text
 * @param seed of the draws; the same seed, request and model give the same tokens
 */
public record Sampling(
    double temperature,
    int topK,
    double topP,
    double minP,
    double repetitionPenalty,
    double frequencyPenalty,
    double presencePenalty,
    long seed) {
  /** The most likely token, always. */
  public static final Sampling GREEDY = new Sampling(0, 0, 1, 0, 1, 0, 0, 0);

  public Sampling {
    check("temperature", temperature, 0, 100);
    check("top_p", topP, Double.MIN_VALUE, 1);
    check("min_p", minP, 0, 1);
    check("repetition_penalty", repetitionPenalty, 0.01, 100);
    check("frequency_penalty", frequencyPenalty, -2, 2);
    check("presence_penalty", presencePenalty, -2, 2);
    if (topK < 0) {
      throw new IllegalArgumentException("top_k must be 0 (off) or positive, got " + topK);
    }
  }

  private static void check(String name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      throw new IllegalArgumentException(
          "%s must be between %s and %s, got %s".formatted(name, low, high, value));
    }
  }
}

package dev.kvdrive.prefill;

import dev.kvdrive.plan.ModelGeometry;

/**
 * How much there is to compute, in multiplications of one layer's projections, MLP and causal
 * attention: a measure by which prompts are ordered and share prefill, the same on every machine.
 */
final class PrefillWork {
  private final int layers;

  /** Of a token, attention aside. */
  private final double perToken;

  /** Of a token in the last layer, whose attention and MLP only the last token needs. */
  private final double perTokenOfLast;

  /** Of attention, for each token and each that it attends. */
  private final double perPair;

  PrefillWork(ModelGeometry model) {
    layers = model.layers();
    double heads = (double) model.heads() * model.headDim();
    perTokenOfLast = model.hidden() * (heads + 2.0 * model.kvHeads() * model.headDim());
    perToken = perTokenOfLast + model.hidden() * heads + 3.0 * model.hidden() * model.feedForward();
    perPair = 2 * heads;
  }

  /** Of tokens {@code [start, end)} of a prompt in a layer. */
  double of(int layer, int start, int end) {
    double tokens = end - start;
    return layer == layers - 1
        ? tokens * perTokenOfLast
        : tokens * (perToken + perPair * (start + tokens / 2));
  }

  /**
   * Of a prompt of {@code tokens} tokens from token {@code start} of a layer to its end.
   *
   * @param reused tokens of it that need not be computed
   */
  double remaining(int tokens, int reused, int layer, int start) {
    double sum = of(layer, Math.max(start, reused), tokens);
    int whole = layers - 2 - layer; // layers in between
    if (whole >= 0) {
      sum += whole * of(0, reused, tokens) + of(layers - 1, reused, tokens);
    }
    return sum;
  }
}

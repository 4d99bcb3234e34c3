package dev.kvdrive.model;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.RopeScaling;
import java.nio.file.Path;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The facts of a transformer as read from either kind of file, checked.
 *
 * @param file where they were read, for messages
 * @param shape its sizes
 * @param maxContext tokens the model can serve; a sliding window shorter than the trained context
 *     caps it, since up to the window full attention is what the model computes
 * @param limit what {@code maxContext} is
 * @param growth how the magnitude of rotated queries grows, or null
 * @param unrotatedLayers layers without rotation
 */
record Hyperparameters(
    Path file,
    String architecture,
    String name,
    ModelShape shape,
    int maxContext,
    ContextLimit limit,
    double rmsEpsilon,
    double ropeTheta,
    int rotaryDim,
    RotaryScaling scaling,
    RopeSpec.@Nullable Growth growth,
    boolean interleaved,
    Set<Integer> unrotatedLayers,
    double attentionScale,
    TransformerSpec.Multipliers multipliers,
    Blocks blocks)
    implements ModelShape.Of {
  /**
   * What the blocks of a family have.
   *
   * @param fused query, key and value are one matrix, and gate and up another (Phi-3)
   * @param biased query, key and value must have biases (Qwen2)
   * @param outputBiased the attention's output projection must have one
   * @param postNorm what attention and MLP add is normed, not what they read (OLMo 2)
   * @param headNorm norm of queries and keys
   */
  record Blocks(
      boolean fused, boolean biased, boolean outputBiased, boolean postNorm, HeadNorm headNorm) {}

  /** Norm of queries and keys before rotation. */
  enum HeadNorm {
    NONE,
    /** Each head on its own (Qwen3). */
    EACH,
    /** All heads as one (OLMo 2). */
    ALL
  }

  Hyperparameters {
    int heads = shape.heads();
    int kvHeads = shape.kvHeads();
    int headDim = shape.headDim();
    within(file, "layers", shape.layers(), 1, ModelGeometry.MAX_LAYERS);
    within(file, "the hidden size", shape.hidden(), 1, ModelGeometry.MAX_HIDDEN);
    within(file, "query heads", heads, 1, ModelGeometry.MAX_HEADS);
    within(file, "KV heads", kvHeads, 1, heads);
    within(file, "the head dimension", headDim, 2, ModelGeometry.MAX_HEAD_DIM);
    within(file, "the feed-forward size", shape.feedForward(), 1, ModelGeometry.MAX_FEED_FORWARD);
    within(file, "the vocabulary", shape.vocabulary(), 1, ModelGeometry.MAX_VOCABULARY);
    within(file, "the context length", maxContext, 1, ModelGeometry.MAX_CONTEXT);
    within(file, "rotated elements of a head", rotaryDim, 2, headDim);
    if (heads % kvHeads != 0) {
      throw bad(file, "KV heads must divide query heads", kvHeads + " and " + heads);
    }
    if (headDim % 2 != 0 || rotaryDim % 2 != 0) {
      throw bad(
          file, "head dimension and rotated elements must be even", headDim + " and " + rotaryDim);
    }
    if (!(rmsEpsilon > 0 && rmsEpsilon < 1)) {
      throw bad(file, "the RMS norm epsilon must be between 0 and 1", rmsEpsilon);
    }
    if (!(ropeTheta > 1 && ropeTheta < 1e12)) {
      throw bad(file, "the rope base must be above 1", ropeTheta);
    }
    positive(file, "the attention scale", attentionScale);
    positive(file, "the embedding multiplier", multipliers.embedding());
    positive(file, "the residual multiplier", multipliers.residual());
    positive(file, "the multiplier of logits", multipliers.logits());
    if (growth != null) {
      positive(file, "the growth of queries", growth.beta(), growth.period());
      if (rotaryDim != headDim) {
        throw bad(file, "queries that grow must be rotated whole", rotaryDim + " of " + headDim);
      }
    }
    switch (scaling) {
      case RotaryScaling.None() -> {}
      case RotaryScaling.Linear(double factor) -> positive(file, factor);
      case RotaryScaling.Divisors(double[] d) -> requireDivisors(file, d, rotaryDim);
      case RotaryScaling.Llama3 s -> {
        positive(file, s.factor(), s.lowFrequencyFactor(), s.highFrequencyFactor(), s.original());
        if (s.highFrequencyFactor() <= s.lowFrequencyFactor()) {
          throw bad(file, "llama3 rope needs high_freq_factor above low_freq_factor", s);
        }
      }
      case RotaryScaling.Yarn s ->
          positive(file, s.factor(), s.original(), s.betaFast(), s.betaSlow(), s.magnitude());
      case RotaryScaling.LongRope s -> {
        requireDivisors(file, s.shortFactors(), rotaryDim);
        requireDivisors(file, s.longFactors(), rotaryDim);
        positive(file, s.original(), s.magnitude());
      }
    }
  }

  /** The specification for serving {@code contextLength} tokens. */
  TransformerSpec spec(int contextLength) {
    RopeSpec plain = scaling.resolve(ropeTheta, rotaryDim, interleaved, contextLength);
    RopeSpec rope =
        new RopeSpec(plain.inverseFrequencies(), plain.magnitude(), interleaved, growth);
    return new TransformerSpec(
        architecture,
        name,
        shape,
        maxContext,
        (float) rmsEpsilon,
        (float) attentionScale,
        rope,
        unrotatedLayers,
        multipliers);
  }

  /**
   * The same with its context extended.
   *
   * @throws ModelFormatException if it cannot be, in the words of {@link RopeScaling#context}
   */
  Hyperparameters extended(@Nullable RopeScaling wanted) {
    if (wanted == null) {
      return this;
    }
    int reached;
    try {
      reached = wanted.context(name, maxContext, limit);
    } catch (IllegalArgumentException e) {
      throw new ModelFormatException(
          file,
          String.valueOf(e.getMessage()),
          "%,d tokens; rope scaling of its own: %s".formatted(maxContext, scaling.words()),
          "see the model's card",
          e);
    }
    double original = wanted.original(maxContext);
    RotaryScaling stretched =
        switch (wanted.type()) {
          case LINEAR -> new RotaryScaling.Linear(wanted.factor());
          case YARN ->
              new RotaryScaling.Yarn(
                  wanted.factor(),
                  original,
                  32,
                  1,
                  true,
                  RotaryScaling.yarnMagnitude(wanted.factor(), 1));
        };
    return new Hyperparameters(
        file,
        architecture,
        name,
        shape,
        reached,
        ContextLimit.EXTENDED,
        rmsEpsilon,
        ropeTheta,
        rotaryDim,
        stretched,
        growth,
        interleaved,
        unrotatedLayers,
        attentionScale,
        multipliers,
        blocks);
  }

  /** The sizes that a plan depends on. */
  ModelGeometry geometry(WeightCount weights) {
    return new ModelGeometry(
        name,
        shape,
        maxContext,
        weights.bytes(),
        weights.matrixElements(),
        weights.vectorElements(),
        weights.packed(),
        limit,
        false);
  }

  private static void within(Path file, String what, long value, long min, long max) {
    if (value < min || value > max) {
      throw bad(file, "%s must be between %d and %d".formatted(what, min, max), value);
    }
  }

  private static void positive(Path file, double... values) {
    for (double v : values) {
      if (!(v > 0 && v < 1e12)) {
        throw bad(file, "the rope scaling has a factor that is not positive", v);
      }
    }
  }

  private static void positive(Path file, String what, double... values) {
    for (double v : values) {
      if (!(v > 0 && v < 1e12)) {
        throw bad(file, what + " must be above 0", v);
      }
    }
  }

  private static void requireDivisors(Path file, double[] divisors, int rotaryDim) {
    if (divisors.length != rotaryDim / 2) {
      throw bad(
          file, "the rope scaling needs %d factors".formatted(rotaryDim / 2), divisors.length);
    }
    positive(file, divisors);
  }

  private static ModelFormatException bad(Path file, String what, Object value) {
    return new ModelFormatException(
        file, what, value, "the model's configuration is damaged: get it again");
  }
}

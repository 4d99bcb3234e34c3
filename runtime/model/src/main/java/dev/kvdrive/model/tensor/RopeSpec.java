package dev.kvdrive.model.tensor;

import org.jspecify.annotations.Nullable;

/**
 * Rotary position embedding of a model, ready to apply: angle of pair {@code i} at position {@code
 * p} is {@code p * inverseFrequency[i]}; cosine and sine are multiplied by {@link #magnitudeAt}.
 *
 * @param inverseFrequencies one per rotated pair, all scaling (llama3, yarn, longrope) applied; its
 *     length times two is the number of rotated elements of a head, the rest passes through
 * @param magnitude factor on cosine and sine (the attention factor of yarn and longrope, otherwise
 *     1)
 * @param interleaved pairs are (2i, 2i+1) if true (GGUF files of the llama family), (i, i + pairs)
 *     otherwise (Hugging Face)
 * @param growth how the magnitude grows with the position, or null if it does not
 */
@SuppressWarnings(
    "ArrayRecordComponent") // immutable by contract: made once per model, never written
public record RopeSpec(
    float[] inverseFrequencies, float magnitude, boolean interleaved, @Nullable Growth growth) {
  /**
   * The magnitude at position {@code p} is multiplied by {@code 1 + beta * log(1 + floor(p /
   * period))}.
   *
   * @param beta above 0
   * @param period tokens, above 0
   */
  public record Growth(float beta, int period) {}

  /** Of the same magnitude everywhere. */
  public RopeSpec(float[] inverseFrequencies, float magnitude, boolean interleaved) {
    this(inverseFrequencies, magnitude, interleaved, null);
  }

  /** Elements of a head that are rotated. */
  public int rotaryDim() {
    return 2 * inverseFrequencies.length;
  }

  /** Factor on cosine and sine at a position. */
  public double magnitudeAt(int position) {
    if (growth == null) {
      return magnitude;
    }
    int periods = position / growth.period;
    return magnitude * (1 + growth.beta * StrictMath.log1p(periods));
  }
}

package dev.kvdrive.model;

import dev.kvdrive.model.tensor.RopeSpec;
import java.util.Arrays;

/**
 * How a model stretches its rotary frequencies. Each kind turns the plain frequencies {@code
 * theta^(-2i/dim)} into those of a served context. The formulas are those of Hugging Face
 * transformers' {@code modeling_rope_utils}; they are computed in double precision.
 */
sealed interface RotaryScaling {
  /** Plain frequencies. */
  record None() implements RotaryScaling {}

  /** Position interpolation: every frequency divided by {@code factor}. */
  record Linear(double factor) implements RotaryScaling {}

  /**
   * Llama 3.1: wavelengths above {@code original/lowFrequencyFactor} divided by {@code factor},
   * those below {@code original/highFrequencyFactor} kept, a smooth blend between.
   */
  record Llama3(
      double factor, double lowFrequencyFactor, double highFrequencyFactor, double original)
      implements RotaryScaling {
    private double scaled(double frequency) {
      double wavelength = 2 * Math.PI / frequency;
      if (wavelength > original / lowFrequencyFactor) {
        return frequency / factor;
      }
      if (wavelength < original / highFrequencyFactor) {
        return frequency;
      }
      double smooth =
          (original / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
      return (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }

  /** YaRN (arXiv 2309.00071): blends by rotations over the original context. */
  record Yarn(
      double factor,
      double original,
      double betaFast,
      double betaSlow,
      boolean truncate,
      double magnitude)
      implements RotaryScaling {
    private void scale(double[] frequencies, double theta, int rotaryDim) {
      double low = pairOfRotations(betaFast, theta, rotaryDim);
      double high = pairOfRotations(betaSlow, theta, rotaryDim);
      low = Math.max(truncate ? Math.floor(low) : low, 0);
      high = Math.min(truncate ? Math.ceil(high) : high, rotaryDim - 1);
      double span = high == low ? 0.001 : high - low;
      for (int i = 0; i < frequencies.length; i++) {
        double interpolated = Math.clamp((i - low) / span, 0.0, 1.0);
        frequencies[i] *= interpolated / factor + (1 - interpolated);
      }
    }

    /** The pair, as a fraction, that turns this often over the original context. */
    private double pairOfRotations(double rotations, double theta, int rotaryDim) {
      return rotaryDim * Math.log(original / (rotations * 2 * Math.PI)) / (2 * Math.log(theta));
    }
  }

  /**
   * LongRoPE (arXiv 2402.13753) as Phi uses it: one divisor per pair, the long set where the served
   * context exceeds the original one. One set serves a whole deployment, since keys rotated with
   * the one do not match queries rotated with the other.
   */
  @SuppressWarnings("ArrayRecordComponent") // made once, never written
  record LongRope(double[] shortFactors, double[] longFactors, double original, double magnitude)
      implements RotaryScaling {}

  /** A divisor per pair, as GGUF's {@code rope_freqs.weight} holds for Llama 3.1. */
  @SuppressWarnings("ArrayRecordComponent") // made once, never written
  record Divisors(double[] divisors) implements RotaryScaling {}

  /** For messages. */
  default String words() {
    return switch (this) {
      case None() -> "none";
      case Linear(double factor) -> "linear, factor " + factor;
      case Llama3 s -> "llama3, factor " + s.factor;
      case Divisors d -> "a factor for each frequency";
      case Yarn s -> "yarn, factor %s, original context %.0f".formatted(s.factor, s.original);
      case LongRope s -> "longrope, original context %.0f".formatted(s.original);
    };
  }

  /** YaRN's usual factor on cosine and sine. */
  static double yarnMagnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }

  /** LongRoPE's usual factor on cosine and sine. */
  static double longRopeMagnitude(double factor, double original) {
    return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  }

  /**
   * The rotary embedding for a served context.
   *
   * @param theta base of the frequencies
   * @param rotaryDim rotated elements of a head, even
   * @param interleaved order of the pairs
   * @param contextLength tokens that will be served at most
   */
  default RopeSpec resolve(double theta, int rotaryDim, boolean interleaved, long contextLength) {
    int pairs = rotaryDim / 2;
    double[] f = new double[pairs];
    for (int i = 0; i < pairs; i++) {
      f[i] = Math.pow(theta, -2.0 * i / rotaryDim);
    }
    double magnitude = 1;
    switch (this) {
      case None() -> {}
      case Linear(double factor) -> Arrays.setAll(f, i -> f[i] / factor);
      case Divisors(double[] divisors) -> Arrays.setAll(f, i -> f[i] / divisors[i]);
      case Llama3 s -> Arrays.setAll(f, i -> s.scaled(f[i]));
      case Yarn s -> {
        s.scale(f, theta, rotaryDim);
        magnitude = s.magnitude;
      }
      case LongRope s -> {
        double[] divisors = contextLength > s.original ? s.longFactors : s.shortFactors;
        Arrays.setAll(f, i -> f[i] / divisors[i]);
        magnitude = s.magnitude;
      }
    }
    float[] frequencies = new float[pairs];
    for (int i = 0; i < pairs; i++) {
      frequencies[i] = (float) f[i];
    }
    return new RopeSpec(frequencies, (float) magnitude, interleaved);
  }
}

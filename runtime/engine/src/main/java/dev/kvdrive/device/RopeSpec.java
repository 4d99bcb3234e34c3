package dev.kvdrive.device;

/**
 * Rotary position embedding of a model, ready to apply: angle of pair {@code i} at position {@code
 * p} is {@code p * inverseFrequency[i]}; cosine and sine are multiplied by {@code magnitude}
 * (longrope's attention factor, otherwise 1).
 *
 * @param inverseFrequencies one per rotated pair, all scaling (llama3, longrope) applied; its
 *     length times two is the number of rotated elements of a head, the rest passes through
 * @param magnitude factor on cosine and sine
 * @param interleaved pairs are (2i, 2i+1) if true (GGUF files of the llama family), (i, i + pairs)
 *     otherwise (Hugging Face)
 */
@SuppressWarnings(
    "ArrayRecordComponent") // immutable by contract: made once per model, never written
public record RopeSpec(float[] inverseFrequencies, float magnitude, boolean interleaved) {
  /** Elements of a head that are rotated. */
  public int rotaryDim() {
    return 2 * inverseFrequencies.length;
  }
}

package dev.kvdrive.schedule;

import dev.kvdrive.kv.meter.AccuracySample;

/**
 * What attention left out, as measured now and then: means of the samples.
 *
 * @param samples (row, layer, KV head) that were measured, each in one step
 * @param massMissed share of the softmax mass on tokens that were not attended; 0 without a sample
 * @param outputError error of the attention's output, as a share of its norm; 0 without a sample
 */
public record Accuracy(long samples, double massMissed, double outputError) {
  /** Nothing was measured. */
  public static final Accuracy NONE = new Accuracy(0, 0, 0);

  Accuracy plus(AccuracySample sample) {
    return plus(new Accuracy(1, sample.massMissed(), sample.outputError()));
  }

  /** Of both, each by its samples. */
  public Accuracy plus(Accuracy other) {
    long all = samples + other.samples;
    return all == 0
        ? NONE
        : new Accuracy(
            all,
            (samples * massMissed + other.samples * other.massMissed) / all,
            (samples * outputError + other.samples * other.outputError) / all);
  }
}

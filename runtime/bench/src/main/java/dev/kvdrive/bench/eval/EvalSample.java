package dev.kvdrive.bench.eval;

import dev.kvdrive.schedule.GenerationUsage;

/**
 * What became of one sample, without its prompt.
 *
 * @param sample fingerprint of the task that was answered
 * @param task family
 * @param score between 0 and 1
 * @param text the generated text
 * @param usage what the generation took
 */
public record EvalSample(
    String sample, String task, double score, String text, GenerationUsage usage) {
  /** Of a result. */
  public static EvalSample of(EvalResult result) {
    return new EvalSample(
        result.task().fingerprint(),
        result.task().task(),
        result.score(),
        result.text(),
        result.usage());
  }
}

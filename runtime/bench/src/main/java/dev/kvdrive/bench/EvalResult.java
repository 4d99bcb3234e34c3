package dev.kvdrive.bench;

import dev.kvdrive.schedule.GenerationUsage;

/**
 * What became of one sample.
 *
 * @param task the sample
 * @param text the generated text
 * @param score between 0 and 1
 * @param usage what the generation took
 */
public record EvalResult(EvalTask task, String text, double score, GenerationUsage usage) {}

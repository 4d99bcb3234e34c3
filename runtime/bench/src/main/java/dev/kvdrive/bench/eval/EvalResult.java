package dev.kvdrive.bench.eval;

import dev.kvdrive.schedule.GenerationUsage;

/**
 * What became of one sample.
 *
 * @param task the sample
 * @param budget share of the context attended per step; 1 is exact mode
 * @param text the generated text
 * @param score between 0 and 1
 * @param usage what the generation took
 */
public record EvalResult(
    EvalTask task, double budget, String text, double score, GenerationUsage usage) {}

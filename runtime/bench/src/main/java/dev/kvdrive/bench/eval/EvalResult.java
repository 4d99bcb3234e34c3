package dev.kvdrive.bench.eval;

import dev.kvdrive.plan.Budget;
import dev.kvdrive.schedule.GenerationUsage;

/**
 * What became of one sample.
 *
 * @param task the sample
 * @param budget how much of the context is attended per step
 * @param text the generated text
 * @param score between 0 and 1
 * @param usage what the generation took
 */
public record EvalResult(
    EvalTask task, Budget budget, String text, double score, GenerationUsage usage) {}

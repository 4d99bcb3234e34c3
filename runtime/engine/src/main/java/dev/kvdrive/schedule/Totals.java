package dev.kvdrive.schedule;

import dev.kvdrive.kv.meter.AccuracySample;
import java.util.HashMap;
import java.util.Map;

/** Sums since the engine's start. Written by the engine thread, read by any. */
final class Totals {
  private long promptTokens;
  private long reusedTokens;
  private long completionTokens;
  private long steps;
  private StepTokens tokens = StepTokens.NONE;
  private SelectedChunks chunks = SelectedChunks.NONE;
  private final Map<EngineStatus.Head, Accuracy> accuracy = new HashMap<>();

  synchronized void prompt(int tokens, int reused) {
    promptTokens += tokens;
    reusedTokens += reused;
  }

  synchronized void completion() {
    completionTokens++;
  }

  synchronized void step() {
    steps++;
  }

  synchronized long steps() {
    return steps;
  }

  synchronized void row(StepTokens tokensOfRow, SelectedChunks ofRow) {
    tokens = tokens.plus(tokensOfRow);
    chunks = chunks.plus(ofRow);
  }

  synchronized void measured(AccuracySample sample) {
    accuracy.merge(
        new EngineStatus.Head(sample.layer(), sample.kvHead()),
        Accuracy.NONE.plus(sample),
        Accuracy::plus);
  }

  synchronized void clear() {
    accuracy.clear();
    promptTokens = 0;
    reusedTokens = 0;
    completionTokens = 0;
    steps = 0;
    tokens = StepTokens.NONE;
    chunks = SelectedChunks.NONE;
  }

  /** What was counted, at one moment. */
  record Snapshot(
      long promptTokens,
      long reusedTokens,
      long completionTokens,
      long steps,
      StepTokens tokens,
      SelectedChunks chunks,
      Map<EngineStatus.Head, Accuracy> accuracy) {}

  synchronized Snapshot snapshot() {
    return new Snapshot(
        promptTokens, reusedTokens, completionTokens, steps, tokens, chunks, Map.copyOf(accuracy));
  }
}

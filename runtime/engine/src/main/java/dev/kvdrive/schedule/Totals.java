package dev.kvdrive.schedule;

/** Sums since the engine's start. Written by the engine thread, read by any. */
final class Totals {
  private long promptTokens;
  private long completionTokens;
  private long steps;
  private SelectedChunks chunks = SelectedChunks.NONE;

  synchronized void prompt(int tokens) {
    promptTokens += tokens;
  }

  synchronized void completion() {
    completionTokens++;
  }

  synchronized void step() {
    steps++;
  }

  synchronized void row(SelectedChunks ofRow) {
    chunks = chunks.plus(ofRow);
  }

  synchronized void clear() {
    promptTokens = 0;
    completionTokens = 0;
    steps = 0;
    chunks = SelectedChunks.NONE;
  }

  /** What was counted, at one moment. */
  record Snapshot(long promptTokens, long completionTokens, long steps, SelectedChunks chunks) {}

  synchronized Snapshot snapshot() {
    return new Snapshot(promptTokens, completionTokens, steps, chunks);
  }
}

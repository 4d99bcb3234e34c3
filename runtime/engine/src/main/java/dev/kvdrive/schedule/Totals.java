package dev.kvdrive.schedule;

/** Sums since the engine's start. Written by the engine thread, read by any. */
final class Totals {
  private long promptTokens;
  private long completionTokens;
  private long steps;
  private long hits;
  private long dramMisses;
  private long nvmeMisses;

  synchronized void prompt(int tokens) {
    promptTokens += tokens;
  }

  synchronized void completion() {
    completionTokens++;
  }

  synchronized void step() {
    steps++;
  }

  synchronized void row(int hits, int dramMisses, int nvmeMisses) {
    this.hits += hits;
    this.dramMisses += dramMisses;
    this.nvmeMisses += nvmeMisses;
  }

  synchronized void clear() {
    promptTokens = 0;
    completionTokens = 0;
    steps = 0;
    hits = 0;
    dramMisses = 0;
    nvmeMisses = 0;
  }

  /** What was counted, at one moment. */
  record Snapshot(
      long promptTokens,
      long completionTokens,
      long steps,
      long hits,
      long dramMisses,
      long nvmeMisses) {}

  synchronized Snapshot snapshot() {
    return new Snapshot(promptTokens, completionTokens, steps, hits, dramMisses, nvmeMisses);
  }
}

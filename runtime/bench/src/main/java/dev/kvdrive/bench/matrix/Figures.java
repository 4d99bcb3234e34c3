package dev.kvdrive.bench.matrix;

import dev.kvdrive.bench.speed.Spread;
import dev.kvdrive.bench.speed.Stretch;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * What was measured of one configuration.
 *
 * @param variation from what {@code serve} does
 * @param promptNanos to read the prompt; 0 if it was not read
 * @param rounds what it wrote in each round
 * @param failure why there are no more; null if all was measured
 */
public record Figures(
    Variation variation, long promptNanos, List<Stretch> rounds, @Nullable String failure) {
  public Figures {
    rounds = List.copyOf(rounds);
  }

  /** Whether there is a rate. */
  public boolean measured() {
    return !rounds.isEmpty();
  }

  /** Tokens a second of all sequences, over the rounds. */
  public Spread rate() {
    return Spread.of(rounds.stream().mapToDouble(Stretch::rate).toArray());
  }

  /**
   * How many times as fast as others, each round compared with the same round; null if they have
   * none in common.
   */
  public @Nullable Spread against(Figures others) {
    double[] ratios =
        IntStream.range(0, Math.min(rounds.size(), others.rounds.size()))
            .mapToDouble(round -> rounds.get(round).rate() / others.rounds.get(round).rate())
            .toArray();
    return ratios.length == 0 ? null : Spread.of(ratios);
  }

  /**
   * Seconds of a whole answer: the prompt, as often as it was read, which is once, and so many
   * tokens of each sequence at the median rate.
   */
  public double answerSeconds(int tokens, int batch) {
    return promptNanos / 1e9 + (double) tokens * batch / rate().median();
  }

  /** Share of the selected chunks that were in the window; NaN if nothing was selected. */
  public double hitRate() {
    long hits = rounds.stream().mapToLong(Stretch::hits).sum();
    return (double) hits / (hits + misses());
  }

  /** Chunks from NVMe for a token. */
  public double nvmeChunks() {
    return (double) rounds.stream().mapToLong(Stretch::nvmeMisses).sum() / tokens();
  }

  /** Chunks from DRAM for a token. */
  public double dramChunks() {
    return (double) rounds.stream().mapToLong(Stretch::dramMisses).sum() / tokens();
  }

  private long misses() {
    return rounds.stream().mapToLong(round -> round.dramMisses() + round.nvmeMisses()).sum();
  }

  private long tokens() {
    return rounds.stream().mapToLong(Stretch::tokens).sum();
  }
}

package dev.kvdrive.decode;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How the steps of a shape are run: in the way that made them fastest when all were tried. Each is
 * tried in turn, so that what else changes changes for all of them, and from time to time again.
 * What is computed does not depend on it.
 *
 * <p>Belongs to the engine thread.
 */
final class StepTrials {
  /** Steps of each way in a trial. */
  private static final int TRIAL_STEPS = 7;

  /** Of these, the first, in which graphs are recorded. */
  private static final int UNCOUNTED = 2;

  /** Steps between trials. */
  private static final int HELD_STEPS = 1_000;

  /** What does more must save so much of a step to be taken. */
  private static final double WORTH = 0.02;

  /**
   * One way.
   *
   * @param depth micro-batches
   * @param ahead whether chunks are prefetched for the next layer
   */
  record Way(int depth, boolean ahead) {}

  private final int most;
  private final boolean elastic;
  private final List<Boolean> ahead;

  /** What is known of the steps of a shape. */
  static final class Trial {
    private final List<Way> ways;
    private final long[][] nanos;
    private int step;
    private Way best;

    private Trial(List<Way> ways) {
      this.ways = ways;
      nanos = new long[ways.size()][TRIAL_STEPS];
      best = ways.getFirst();
    }

    private boolean on() {
      return ways.size() > 1 && step < ways.size() * TRIAL_STEPS;
    }

    /** The way of the next step. */
    Way next() {
      return on() ? ways.get(step % ways.size()) : best;
    }

    /** Notes how long a step took that went the way of {@link #next}. */
    void took(long stepNanos) {
      if (on()) {
        nanos[step % ways.size()][step / ways.size()] = stepNanos;
        step++;
        if (!on()) {
          decide();
        }
      } else if (++step >= HELD_STEPS) {
        step = 0;
      }
    }

    /** Begins anew. */
    void forget() {
      step = 0;
      best = ways.getFirst();
    }

    private void decide() {
      double least = Double.POSITIVE_INFINITY;
      for (int way = 0; way < nanos.length; way++) {
        double median = median(nanos[way]);
        if (median < least * (1 - WORTH)) {
          least = median;
          best = ways.get(way);
        }
      }
    }

    private static double median(long[] of) {
      long[] counted = Arrays.copyOfRange(of, UNCOUNTED, of.length);
      Arrays.sort(counted);
      return counted[counted.length / 2];
    }
  }

  /**
   * @param most micro-batches at most
   * @param elastic whether fewer are taken where they are faster
   * @param ahead whether chunks may be prefetched, what does less first: one of both, or both to
   *     take what is faster
   */
  StepTrials(int most, boolean elastic, List<Boolean> ahead) {
    this.most = most;
    this.elastic = elastic;
    this.ahead = List.copyOf(ahead);
  }

  /** Micro-batches that so many rows are cut into at most: what trials differ in. */
  int deepest(int rows) {
    return Integer.highestOneBit(Math.clamp(rows, 1, most));
  }

  /** Begins with the steps of a shape, of so many rows. */
  Trial of(int rows) {
    return new Trial(ways(deepest(rows)));
  }

  private List<Way> ways(int deepest) {
    List<Way> ways = new ArrayList<>();
    for (boolean prefetch : ahead) {
      for (int depth = elastic ? 1 : deepest; depth <= deepest; depth *= 2) {
        ways.add(new Way(depth, prefetch));
      }
    }
    return ways;
  }
}

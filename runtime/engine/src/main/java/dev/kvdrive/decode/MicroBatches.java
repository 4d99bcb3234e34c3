package dev.kvdrive.decode;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Into how many micro-batches the steps of a shape are cut: as many as made them fastest when they
 * were tried. Each depth is tried in turn, so that what else changes changes for all of them, and
 * from time to time again. What is computed does not depend on it.
 *
 * <p>Belongs to the engine thread.
 */
final class MicroBatches {
  /** Steps of each depth in a trial. */
  private static final int TRIAL_STEPS = 7;

  /** Of these, the first, in which graphs are recorded. */
  private static final int UNCOUNTED = 2;

  /** Steps between trials. */
  private static final int HELD_STEPS = 1_000;

  /** A deeper cut must save so much of a step to be taken. */
  private static final double WORTH = 0.02;

  private final int most;
  private final boolean elastic;
  private final Map<Object, Depths> shapes = new HashMap<>();

  /** What is known of the steps of a shape. */
  private static final class Depths {
    private final long[][] nanos;
    private int step;
    private int best = 1;

    private Depths(int candidates) {
      nanos = new long[candidates][TRIAL_STEPS];
    }

    private boolean trial() {
      return step < nanos.length * TRIAL_STEPS;
    }

    private void decide() {
      double least = median(nanos[0]);
      best = 1;
      for (int candidate = 1; candidate < nanos.length; candidate++) {
        double median = median(nanos[candidate]);
        if (median < least * (1 - WORTH)) {
          least = median;
          best = 1 << candidate;
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
   */
  MicroBatches(int most, boolean elastic) {
    this.most = most;
    this.elastic = elastic;
  }

  /**
   * Micro-batches of the next step, a power of two.
   *
   * @param shape of the step
   * @param rows of it
   */
  int depth(Object shape, int rows) {
    int deepest = Integer.highestOneBit(Math.max(1, Math.min(rows, most)));
    if (!elastic || deepest == 1) {
      return deepest;
    }
    Depths depths = depths(shape, deepest);
    return depths.trial() ? 1 << depths.step % depths.nanos.length : depths.best;
  }

  /**
   * Notes how long a step took.
   *
   * @param shape as {@link #depth} was asked
   * @param rows as it was asked
   */
  void took(Object shape, int rows, long nanos) {
    int deepest = Integer.highestOneBit(Math.max(1, Math.min(rows, most)));
    if (!elastic || deepest == 1) {
      return;
    }
    Depths depths = depths(shape, deepest);
    if (depths.trial()) {
      int candidates = depths.nanos.length;
      depths.nanos[depths.step % candidates][depths.step / candidates] = nanos;
      depths.step++;
      if (!depths.trial()) {
        depths.decide();
      }
    } else if (++depths.step >= HELD_STEPS) {
      depths.step = 0;
    }
  }

  private Depths depths(Object shape, int deepest) {
    return shapes.computeIfAbsent(
        shape, key -> new Depths(Integer.numberOfTrailingZeros(deepest) + 1));
  }
}

package dev.kvdrive.kv.window;

import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/**
 * Divides slots among windows so that they miss least: a multiple-choice knapsack (one size for
 * each window), which the convex curves let a greedy choice solve but for the part of one segment.
 */
final class Knapsack {
  private Knapsack() {}

  private record Step(int window, int segment, double saved) {}

  /**
   * Divides.
   *
   * @param curves of the windows
   * @param slots to be divided, at least {@code fewest} for each window
   * @param fewest slots that every window gets
   * @param most slots that a window can use
   * @return slots of each window; all are given away, unless every window has the most
   */
  static int[] divide(List<MissCurve> curves, long slots, int fewest, int most) {
    int[] given = new int[curves.size()];
    java.util.Arrays.fill(given, fewest);
    long left = slots - (long) fewest * curves.size();
    PriorityQueue<Step> steps =
        new PriorityQueue<>(
            Comparator.comparingDouble((Step step) -> -step.saved())
                .thenComparingInt(Step::window));
    for (int window = 0; window < curves.size(); window++) {
      offer(steps, curves.get(window), window, 0);
    }
    while (left > 0 && !steps.isEmpty()) {
      Step step = steps.remove();
      if (step.saved() <= 0) {
        break;
      }
      MissCurve curve = curves.get(step.window());
      int end = (int) Math.min(most, Math.round(curve.end(step.segment())));
      int more = (int) Math.min(left, Math.max(0, end - given[step.window()]));
      given[step.window()] += more;
      left -= more;
      offer(steps, curve, step.window(), step.segment() + 1);
    }
    // What saves nothing by these curves is still better used than not.
    for (int rounds = 0; left > 0 && rounds < 2; rounds++) {
      for (int window = 0; window < given.length; window++) {
        long share = Math.ceilDiv(left, given.length - window);
        int more = (int) Math.min(share, most - given[window]);
        given[window] += more;
        left -= more;
      }
    }
    return given;
  }

  private static void offer(PriorityQueue<Step> steps, MissCurve curve, int window, int segment) {
    if (segment < curve.segments()) {
      steps.add(new Step(window, segment, curve.saved(segment)));
    }
  }
}

package dev.kvdrive.kv.window;

import dev.kvdrive.device.LayerReuse;

/**
 * How many chunks of a step a window would miss, by its slots. From the ages at which chunks are
 * selected again: a window that keeps what the last {@code t} steps have selected misses what is
 * older than {@code t}, and the chunks that {@code t} steps select are as many as they do not
 * share, {@code n * sum_(s<t) P(age > s)} with {@code n} chunks a step (the footprint of Xiang et
 * al., ASPLOS 2013). The corners are those of the lower convex hull, so that what a slot more saves
 * only ever falls.
 */
final class MissCurve {
  private final double[] slots;
  private final double[] misses;
  private final int corners;

  private MissCurve(double[] slots, double[] misses, int corners) {
    this.slots = slots;
    this.misses = misses;
    this.corners = corners;
  }

  /**
   * The curve of counted ages.
   *
   * @param ages counts of each class of {@link LayerReuse}
   * @param selected chunks that a step selects
   */
  static MissCurve of(double[] ages, double selected) {
    double sum = 0;
    for (double count : ages) {
      sum += count;
    }
    int points = LayerReuse.NEVER + 1;
    double[] slots = new double[points];
    double[] misses = new double[points];
    double older = 1;
    misses[0] = selected;
    for (int age = 0; age < LayerReuse.NEVER; age++) {
      int width = LayerReuse.lowestAge(age + 1) - LayerReuse.lowestAge(age);
      double left = sum == 0 ? older : Math.max(0, older - ages[age] / sum);
      double steps = width * older - (older - left) * (width - 1) / 2;
      slots[age + 1] = slots[age] + selected * steps;
      misses[age + 1] = selected * left;
      older = left;
    }
    return hull(slots, misses);
  }

  private static MissCurve hull(double[] slots, double[] misses) {
    int corners = 0;
    for (int i = 0; i < slots.length; i++) {
      while (corners > 0 && slots[i] <= slots[corners - 1]) {
        corners--;
      }
      while (corners > 1
          && (misses[i] - misses[corners - 1]) * (slots[corners - 1] - slots[corners - 2])
              <= (misses[corners - 1] - misses[corners - 2]) * (slots[i] - slots[corners - 1])) {
        corners--;
      }
      slots[corners] = slots[i];
      misses[corners] = misses[i];
      corners++;
    }
    return new MissCurve(slots, misses, corners);
  }

  /** Segments between its corners. */
  int segments() {
    return corners - 1;
  }

  /** Slots at the end of a segment. */
  double end(int segment) {
    return slots[segment + 1];
  }

  /** Misses that a slot within a segment saves in each step. */
  double saved(int segment) {
    return (misses[segment] - misses[segment + 1]) / (slots[segment + 1] - slots[segment]);
  }

  /** Misses of a step with so many slots. */
  double at(double count) {
    for (int i = 1; i < corners; i++) {
      if (count < slots[i]) {
        double part = (count - slots[i - 1]) / (slots[i] - slots[i - 1]);
        return misses[i - 1] + part * (misses[i] - misses[i - 1]);
      }
    }
    return misses[corners - 1];
  }
}

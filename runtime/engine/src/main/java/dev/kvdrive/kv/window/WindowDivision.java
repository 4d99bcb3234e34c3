package dev.kvdrive.kv.window;

import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How many slots each (seat, layer, KV head) has: the two-dimensional window. What heads select
 * differs: some come back to the same chunks in every step and need few slots, some wander and
 * would need more than there are. The ages at which chunks are selected again, counted on the
 * device, give a curve of misses for each window, and a knapsack divides all slots of the plan
 * among the seats that are taken. Divided anew when a seat is taken or left, and every {@value
 * #STEPS} steps, if that saves enough.
 *
 * <p>Only arithmetic, so that a simulator divides as an engine does; {@link Windows} moves the
 * slots. Engine thread.
 */
public final class WindowDivision {
  /** Steps between two looks at the ages. */
  public static final int STEPS = 32;

  /** Selections of a new sequence that are enough for a first look. */
  private static final double FIRST_LOOK = 16;

  /** What is left of older counts at each look: behaviour drifts. */
  private static final double DECAY = 0.75;

  /** Counts of former sequences are worth so many steps of a new one. */
  private static final double PRIOR_STEPS = 8;

  /** Share of the misses that a division has to save to be worth what its moves lose. */
  private static final double WORTH = 0.02;

  private final Division division;
  private final int seats;
  private final int layers;
  private final int heads;
  private final int fewest;
  private final int most;
  private final int uniform;
  private final boolean[] taken;

  /** Slots by {@code (seat * layers + layer) * heads + head}. */
  private final int[] slots;

  private final Seat[] counted;

  /** By {@code layer * heads + head}: ages of sequences that have left, as shares. */
  private final double[][] prior;

  private boolean priorKnown;
  private int steps;

  /** What is known of the sequence on a seat. */
  private static final class Seat {
    /** By {@code layer * heads + head}. */
    private final double[][] ages;

    private final int[][] seen;
    private double steps;
    private double newSteps;

    /** Whether its windows were divided by nothing of its own yet. */
    private boolean fresh;

    Seat(int windows) {
      ages = new double[windows][LayerReuse.CLASSES];
      seen = new int[windows][LayerReuse.CLASSES];
    }

    void clear() {
      for (double[] of : ages) {
        Arrays.fill(of, 0);
      }
      for (int[] of : seen) {
        Arrays.fill(of, 0);
      }
      steps = 0;
      newSteps = 0;
      fresh = true;
    }

    boolean known() {
      return steps > 0 && Arrays.stream(ages[0]).sum() > 0;
    }
  }

  /**
   * What is divided.
   *
   * @param seats of the engine
   * @param layers of the model
   * @param heads KV heads of a layer
   * @param uniform slots of each window if all have the same
   * @param fewest slots that a window needs
   * @param most slots that a window can use
   * @param exact whether everything is attended, so that there is nothing to learn from
   */
  public record Shape(
      int seats, int layers, int heads, int uniform, int fewest, int most, boolean exact) {
    /** That of a plan. */
    public static Shape of(EngineSizes sizes) {
      return new Shape(
          sizes.concurrency(),
          sizes.layout().layers(),
          sizes.layout().kvHeads(),
          sizes.windowSlots(),
          sizes.passChunks(),
          sizes.mostWindowSlots(),
          sizes.exact());
    }
  }

  public WindowDivision(EngineSizes sizes, Division division) {
    this(Shape.of(sizes), division);
  }

  public WindowDivision(Shape shape, Division division) {
    this.division = shape.exact() && division == Division.BY_REUSE ? Division.LENT : division;
    seats = shape.seats();
    layers = shape.layers();
    heads = shape.heads();
    fewest = shape.fewest();
    uniform = shape.uniform();
    most = shape.most();
    taken = new boolean[seats];
    slots = new int[seats * layers * heads];
    counted = new Seat[seats];
    for (int seat = 0; seat < seats; seat++) {
      counted[seat] = new Seat(observes() ? layers * heads : 0);
    }
    prior = new double[observes() ? layers * heads : 0][LayerReuse.CLASSES];
    if (this.division == Division.UNIFORM) {
      Arrays.fill(slots, uniform);
    }
  }

  /** Whether it wants to know the ages. */
  public boolean observes() {
    return division == Division.BY_REUSE;
  }

  /** Slots of a window. */
  public int slots(int seat, int layer, int head) {
    return slots[(seat * layers + layer) * heads + head];
  }

  /**
   * A sequence takes a seat.
   *
   * @return whether windows have changed
   */
  public boolean open(int seat) {
    taken[seat] = true;
    if (observes()) {
      counted[seat].clear();
    }
    return divide(true);
  }

  /**
   * A sequence leaves its seat.
   *
   * @param ages of all (layer, KV head) of the seat, {@code int[layers * kvHeads * CLASSES]}, or
   *     null if they are not known
   * @return whether windows have changed
   */
  public boolean close(int seat, int @Nullable [] ages) {
    if (!taken[seat]) {
      return false;
    }
    if (observes() && ages != null) {
      take(seat, ages);
      learn(counted[seat]);
    }
    taken[seat] = false;
    return divide(true);
  }

  /**
   * A step has run, or a token of a prompt's end was selected for.
   *
   * @param seat of a row
   */
  public void selected(int seat) {
    counted[seat].newSteps++;
  }

  /**
   * All rows of a step have run.
   *
   * @return whether it is time to look at the ages of the seats that are taken
   */
  public boolean stepped() {
    if (!observes()) {
      return false;
    }
    boolean look = ++steps % STEPS == 0;
    for (Seat seat : counted) {
      // A warm-up has shown what a sequence is like before its first step.
      look |= seat.fresh && seat.newSteps >= FIRST_LOOK;
    }
    return look;
  }

  /** Whether a sequence is on the seat. */
  public boolean taken(int seat) {
    return taken[seat];
  }

  /** Takes in the ages of a seat, see {@link #close}. */
  public void take(int seat, int[] ages) {
    Seat of = counted[seat];
    for (int window = 0; window < layers * heads; window++) {
      for (int c = 0; c < LayerReuse.CLASSES; c++) {
        int now = ages[window * LayerReuse.CLASSES + c];
        of.ages[window][c] = of.ages[window][c] * DECAY + (now - of.seen[window][c]);
        of.seen[window][c] = now;
      }
    }
    of.fresh &= of.newSteps < FIRST_LOOK;
    of.steps = of.steps * DECAY + of.newSteps;
    of.newSteps = 0;
  }

  /**
   * Divides anew where that saves enough.
   *
   * @return whether windows have changed
   */
  public boolean divide() {
    return divide(false);
  }

  private void learn(Seat of) {
    if (!of.known()) {
      return;
    }
    for (int window = 0; window < layers * heads; window++) {
      double sum = Arrays.stream(of.ages[window]).sum();
      for (int c = 0; c < LayerReuse.CLASSES && sum > 0; c++) {
        double share = of.ages[window][c] / sum;
        prior[window][c] = priorKnown ? (prior[window][c] + share) / 2 : share;
      }
    }
    priorKnown = true;
  }

  private boolean divide(boolean seatsChanged) {
    int[] next = division == Division.UNIFORM ? slots : plan(seatsChanged);
    boolean changed = !Arrays.equals(next, slots);
    System.arraycopy(next, 0, slots, 0, slots.length);
    return changed;
  }

  private int[] plan(boolean seatsChanged) {
    List<Integer> open = new ArrayList<>();
    for (int seat = 0; seat < seats; seat++) {
      if (taken[seat]) {
        open.add(seat);
      }
    }
    int[] next = new int[slots.length];
    if (open.isEmpty()) {
      return next;
    }
    int windows = layers * heads;
    long all = (long) seats * windows * uniform;
    int equal = (int) Math.min(most, all / ((long) open.size() * windows));
    List<MissCurve> curves = observes() ? curves(open) : List.of();
    if (curves.isEmpty()) {
      for (int seat : open) {
        Arrays.fill(next, seat * windows, (seat + 1) * windows, equal);
      }
      return next;
    }
    int[] given = Knapsack.divide(curves, all, fewest, most);
    for (int i = 0; i < open.size(); i++) {
      System.arraycopy(given, i * windows, next, open.get(i) * windows, windows);
    }
    if (!seatsChanged) {
      double before = 0;
      double after = 0;
      for (int i = 0; i < given.length; i++) {
        int at = open.get(i / windows) * windows + i % windows;
        before += curves.get(i).at(slots[at]);
        after += curves.get(i).at(next[at]);
      }
      if (after > (1 - WORTH) * before) {
        return slots;
      }
    }
    return next;
  }

  /** Curves of all windows of the seats, or none where nothing is known of one of them. */
  private List<MissCurve> curves(List<Integer> open) {
    List<MissCurve> curves = new ArrayList<>();
    double[] ages = new double[LayerReuse.CLASSES];
    for (int seat : open) {
      Seat of = counted[seat];
      boolean known = of.known();
      if (!known && !priorKnown) {
        return List.of();
      }
      for (int window = 0; window < layers * heads; window++) {
        double own = Arrays.stream(of.ages[window]).sum();
        double selected = known ? own / of.steps : fewest;
        double weight = priorKnown ? Math.max(1, PRIOR_STEPS * selected) : 0;
        for (int c = 0; c < ages.length; c++) {
          ages[c] = of.ages[window][c] + weight * prior[window][c];
        }
        curves.add(MissCurve.of(ages, selected));
      }
    }
    return curves;
  }
}

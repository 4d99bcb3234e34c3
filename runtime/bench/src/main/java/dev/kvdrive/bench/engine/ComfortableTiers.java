package dev.kvdrive.bench.engine;

import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.InfeasiblePlanException;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import java.util.function.LongPredicate;

/**
 * Budgets for when nobody names any: the smallest with which the planner grants a wish. Every byte
 * is counted by the planner; this only asks it again and again.
 *
 * @param windows size of the window in selections; in exact mode, where the selection is
 *     everything, a share of it
 * @param dramShare share of the KV cache that has room in DRAM; if it is below 1, NVMe has room for
 *     all of it, as it has when DRAM is to be emptied
 */
public record ComfortableTiers(double windows, double dramShare) {
  /** More than any tier has; a plan with it says what the other tiers allow. */
  private static final long PLENTY = 1L << 50;

  public ComfortableTiers {
    if (!(windows > 0 && dramShare >= 0)) {
      throw new IllegalArgumentException(
          "a window must have a size and DRAM no negative share, got %s and %s"
              .formatted(windows, dramShare));
    }
  }

  /**
   * The budgets of a request, whose own are ignored.
   *
   * @throws InfeasiblePlanException if no budgets make the request fit
   */
  public TierBudgets of(PlanRequest request) {
    EngineSizes most = plan(request, PLENTY, PLENTY, 0).requireSizes();
    // With plenty of memory a window is as large as its policy has a use for.
    int window = Math.clamp((long) Math.ceil(windows * most.maxSelected()), 1, most.windowSlots());
    long extents =
        (long) request.load().concurrency()
            * most.layout().layers()
            * most.layout().kvHeads()
            * most.layout().extents(most.maxChunks());
    boolean all = dramShare >= 1;
    long frames = all ? most.dramFrames() : (long) Math.ceil(dramShare * extents);
    long gpu = smallest(bytes -> grants(plan(request, bytes, PLENTY, 0), window, 0, 0));
    long dram =
        smallest(bytes -> grants(plan(request, gpu, bytes, all ? 0 : PLENTY), window, frames, 0));
    long nvme =
        all ? 0 : smallest(bytes -> grants(plan(request, gpu, dram, bytes), window, 0, extents));
    return new TierBudgets(gpu, dram, nvme);
  }

  private static Plan plan(PlanRequest request, long gpu, long dram, long nvme) {
    return Planner.plan(request.withTiers(new TierBudgets(gpu, dram, nvme)));
  }

  private static boolean grants(Plan plan, int window, long frames, long extents) {
    return plan.feasible()
        && plan.requireSizes().windowSlots() >= window
        && plan.requireSizes().dramFrames() >= frames
        && (plan.requireSizes().nvmeExtents() >= extents
            || plan.requireSizes().dramFrames() >= extents);
  }

  /** The fewest whole mebibytes for which a monotone predicate holds. */
  private static long smallest(LongPredicate holds) {
    long low = 0;
    long high = PLENTY / ByteSize.MIB;
    while (low < high) {
      long middle = (low + high) / 2;
      if (holds.test(middle * ByteSize.MIB)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low * ByteSize.MIB;
  }
}

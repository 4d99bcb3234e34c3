package dev.kvdrive.operator.status;

import dev.kvdrive.api.v1alpha1.PlanStatus;
import dev.kvdrive.api.v1alpha1.TierStatus;
import dev.kvdrive.operator.feasibility.Quantities;
import dev.kvdrive.plan.Alternative;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.Demand;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A plan as the status shows it. */
final class PlanView {
  private PlanView() {}

  static PlanStatus plan(Plan plan, @Nullable String geometrySource) {
    var pod = plan.pod();
    return new PlanStatus(
        plan.feasible(),
        geometrySource,
        Planner.layout(plan.request().model(), plan.request().kvType()).bytesPerToken(),
        pod == null ? null : Quantities.ofBytes(pod.memoryBytes()),
        pod == null ? null : Quantities.ofBytes(pod.heapBytes()),
        pod == null || pod.volumeBytes() == 0 ? null : Quantities.ofBytes(pod.volumeBytes()),
        plan.demands().stream()
            .map(
                d ->
                    new PlanStatus.Demand(
                        d.tier().word(), d.item(), ByteSize.human(d.bytes()), d.arithmetic()))
            .toList(),
        plan.shortfalls(),
        plan.alternatives().stream().map(Alternative::text).toList(),
        plan.warnings());
  }

  static List<TierStatus> tiers(Plan plan) {
    TierBudgets budgets = plan.request().tiers();
    List<TierStatus> tiers = new ArrayList<>();
    tiers.add(tier(plan, Demand.Tier.GPU, budgets.gpu()));
    tiers.add(tier(plan, Demand.Tier.DRAM, budgets.dram()));
    if (budgets.nvme() > 0) {
      tiers.add(tier(plan, Demand.Tier.NVME, budgets.nvme()));
    }
    return tiers;
  }

  private static TierStatus tier(Plan plan, Demand.Tier tier, long budget) {
    return new TierStatus(
        tier.word(), Quantities.ofBytes(budget), Quantities.ofBytes(plan.demand(tier)), null, null);
  }
}

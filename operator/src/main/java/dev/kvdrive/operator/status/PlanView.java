package dev.kvdrive.operator.status;

import dev.kvdrive.api.v1alpha1.AccuracyStatus;
import dev.kvdrive.api.v1alpha1.NvmeEncryption;
import dev.kvdrive.api.v1alpha1.PlanStatus;
import dev.kvdrive.api.v1alpha1.TierStatus;
import dev.kvdrive.feasibility.Quantities;
import dev.kvdrive.observed.usage.TierUsage;
import dev.kvdrive.plan.Alternative;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.Demand;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** A plan as the status shows it. */
final class PlanView {
  private PlanView() {}

  static PlanStatus plan(Plan plan, @Nullable String geometrySource) {
    var pod = plan.pod();
    return new PlanStatus(
        plan.feasible(),
        geometrySource,
        Planner.layout(
                plan.request().model(),
                plan.request().attention().kvType(),
                plan.request().attention().formats())
            .backingBytes(1),
        plan.request().attention().budget().words(),
        plan.sizes() == null ? null : plan.sizes().denseBelow(),
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

  static List<TierStatus> tiers(Plan plan, TierUsage usage) {
    TierBudgets budgets = plan.request().tiers();
    List<TierStatus> tiers = new ArrayList<>();
    tiers.add(tier(plan, Demand.Tier.GPU, budgets.gpu(), usage));
    tiers.add(tier(plan, Demand.Tier.DRAM, budgets.dram(), usage));
    if (budgets.nvme() > 0) {
      tiers.add(tier(plan, Demand.Tier.NVME, budgets.nvme(), usage));
    }
    return tiers;
  }

  static @Nullable AccuracyStatus accuracy(TierUsage usage) {
    TierUsage.Accuracy seen = usage.accuracy();
    return seen.samples() == 0
        ? null
        : new AccuracyStatus(
            percent(seen.massMissed() / seen.samples()),
            percent(seen.outputError() / seen.samples()));
  }

  static @Nullable String attended(TierUsage usage) {
    OptionalDouble share = usage.attendedShare();
    return share.isPresent() ? percent(share.getAsDouble()) : null;
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f%%", 100 * share);
  }

  private static TierStatus tier(Plan plan, Demand.Tier tier, long budget, TierUsage usage) {
    long writesPerDay = tier == Demand.Tier.NVME ? plan.request().tiers().nvmeWritesPerDay() : 0;
    return new TierStatus(
        tier.word(),
        Quantities.ofBytes(budget),
        mebibytes(plan.demand(tier)),
        mebibytes(usage.used(tier.word())),
        percent(usage.hitRate(tier.word())),
        percent(usage.prefetchUse(tier.word())),
        writesPerDay == 0 ? null : Quantities.ofBytes(writesPerDay),
        mebibytes(usage.written(tier.word())),
        tier == Demand.Tier.NVME && plan.request().tiers().nvmeEncryption().encrypts()
            ? NvmeEncryption.valueOf(plan.request().tiers().nvmeEncryption().name())
            : null);
  }

  private static @Nullable String percent(OptionalDouble share) {
    return share.isPresent() ? Math.round(100 * share.getAsDouble()) + "%" : null;
  }

  private static @Nullable Quantity mebibytes(OptionalLong bytes) {
    return bytes.isPresent() ? mebibytes(bytes.getAsLong()) : null;
  }

  /** Rounded up, so that the status does not change with every request. */
  private static Quantity mebibytes(long bytes) {
    return Quantities.ofBytes(Math.ceilDiv(bytes, ByteSize.MIB) << 20);
  }
}

package dev.kvdrive.feasibility;

import dev.kvdrive.plan.TierBudgets;

/**
 * Tier budgets of a deployment, all replicas together, in bytes. Sums that exceed a long are its
 * largest value.
 *
 * @param gpu of the GPU tier
 * @param dram of the DRAM tier
 * @param nvme of the NVMe tier
 */
public record Usage(long gpu, long dram, long nvme) {
  /** Nothing. */
  public static final Usage NONE = new Usage(0, 0, 0);

  /** That of {@code replicas} pods. */
  public static Usage of(TierBudgets tiers, int replicas) {
    return new Usage(
        saturated(tiers.gpu(), replicas),
        saturated(tiers.dram(), replicas),
        saturated(tiers.nvme(), replicas));
  }

  /** Both together. */
  public Usage plus(Usage other) {
    return new Usage(sum(gpu, other.gpu), sum(dram, other.dram), sum(nvme, other.nvme));
  }

  /** The larger of both, tier by tier. */
  public Usage max(Usage other) {
    return new Usage(
        Math.max(gpu, other.gpu), Math.max(dram, other.dram), Math.max(nvme, other.nvme));
  }

  private static long saturated(long bytes, int replicas) {
    return bytes > Long.MAX_VALUE / Math.max(1, replicas) ? Long.MAX_VALUE : bytes * replicas;
  }

  private static long sum(long a, long b) {
    return a > Long.MAX_VALUE - b ? Long.MAX_VALUE : a + b;
  }
}

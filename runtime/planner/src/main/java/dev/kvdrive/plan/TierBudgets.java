package dev.kvdrive.plan;

/**
 * What a deployment may use of each tier, in bytes.
 *
 * @param gpu device memory for weights, index, window and workspace
 * @param dram pinned host memory for frames and staging
 * @param nvme size of the NVMe volume; 0 for none
 */
public record TierBudgets(long gpu, long dram, long nvme) {
  public TierBudgets {
    if (gpu < 0 || dram < 0 || nvme < 0) {
      throw new IllegalArgumentException(
          "tier budgets must not be negative, got gpu=%d dram=%d nvme=%d"
              .formatted(gpu, dram, nvme));
    }
  }
}

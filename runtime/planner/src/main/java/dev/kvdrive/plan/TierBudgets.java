package dev.kvdrive.plan;

/**
 * What a deployment may use of each tier, in bytes.
 *
 * @param gpu device memory for weights, index, window and workspace
 * @param dram pinned host memory for frames and staging
 * @param nvme size of the NVMe volume; 0 for none
 * @param nvmeWritesPerDay what may be written to it in 24 hours, which wears its drive; 0 for no
 *     limit
 */
public record TierBudgets(long gpu, long dram, long nvme, long nvmeWritesPerDay) {
  public TierBudgets {
    if (gpu < 0 || dram < 0 || nvme < 0 || nvmeWritesPerDay < 0) {
      throw new IllegalArgumentException(
          "tier budgets must not be negative, got gpu=%d dram=%d nvme=%d, %d written a day"
              .formatted(gpu, dram, nvme, nvmeWritesPerDay));
    }
    if (nvme == 0 && nvmeWritesPerDay > 0) {
      throw new IllegalArgumentException(
          "a limit of the bytes written to NVMe a day goes with an NVMe tier; give one, or leave the limit out");
    }
  }

  /** Without a limit of what is written. */
  public TierBudgets(long gpu, long dram, long nvme) {
    this(gpu, dram, nvme, 0);
  }
}

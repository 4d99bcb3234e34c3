package dev.kvdrive.plan;

/**
 * What a deployment may use of each tier, in bytes.
 *
 * @param gpu device memory for weights, index, window and workspace
 * @param dram pinned host memory for frames and staging
 * @param nvme size of the NVMe volume; 0 for none
 * @param nvmeWritesPerDay what may be written to it in 24 hours, which wears its drive; 0 for no
 *     limit
 * @param nvmeEncryption in which form extents are on it
 */
public record TierBudgets(
    long gpu, long dram, long nvme, long nvmeWritesPerDay, NvmeEncryption nvmeEncryption) {
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
    if (nvme == 0 && nvmeEncryption.encrypts()) {
      throw new IllegalArgumentException(
          "encryption with %s goes with an NVMe tier, for nothing else is encrypted; give one, or leave the encryption out"
              .formatted(nvmeEncryption.word()));
    }
  }

  /** Without a limit of what is written, and without encryption. */
  public TierBudgets(long gpu, long dram, long nvme) {
    this(gpu, dram, nvme, 0, NvmeEncryption.NONE);
  }

  /** The same with another budget of GPU memory. */
  public TierBudgets withGpu(long bytes) {
    return new TierBudgets(bytes, dram, nvme, nvmeWritesPerDay, nvmeEncryption);
  }

  /** The same with extents in another form on NVMe. */
  public TierBudgets withNvmeEncryption(NvmeEncryption encryption) {
    return new TierBudgets(gpu, dram, nvme, nvmeWritesPerDay, encryption);
  }
}

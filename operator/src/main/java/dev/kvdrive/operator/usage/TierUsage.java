package dev.kvdrive.operator.usage;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * Use of the tiers, summed over the pods that answered.
 *
 * @param usedBytes bytes in use, by tier
 * @param selectedChunks chunks that were selected and found in a tier since the pods started, by
 *     tier
 * @param failingNvme what pods say whose NVMe volume fails them, by name of the pod
 */
public record TierUsage(
    Map<String, Long> usedBytes,
    Map<String, Long> selectedChunks,
    Map<String, String> failingNvme) {
  /** Nobody answered. */
  public static final TierUsage UNKNOWN = new TierUsage(Map.of(), Map.of(), Map.of());

  private static final String USED = "kvdrive_tier_used_bytes";
  private static final String HITS = "kvdrive_window_hits_total";
  private static final String MISSES = "kvdrive_window_misses_total";
  private static final String TIER = "tier";
  private static final String WINDOW_TIER = "gpu";

  private static final String NVME_HEALTHY = "kvdrive_nvme_healthy";

  public TierUsage {
    usedBytes = Map.copyOf(usedBytes);
    selectedChunks = Map.copyOf(selectedChunks);
    failingNvme = Map.copyOf(failingNvme);
  }

  /** The sum over the metrics of several pods. */
  static TierUsage of(List<Exposition> pods) {
    Map<String, Long> used = new HashMap<>();
    Map<String, Long> selected = new HashMap<>();
    for (Exposition pod : pods) {
      for (Exposition.Sample sample : pod.samples()) {
        String tier = sample.labels().getOrDefault(TIER, WINDOW_TIER);
        switch (sample.name()) {
          case USED -> used.merge(tier, (long) sample.value(), Long::sum);
          case HITS -> selected.merge(WINDOW_TIER, (long) sample.value(), Long::sum);
          case MISSES -> selected.merge(tier, (long) sample.value(), Long::sum);
          default -> {}
        }
      }
    }
    return new TierUsage(used, selected, Map.of());
  }

  /** Whether a pod says that its NVMe volume fails it. */
  static boolean isNvmeFailing(Exposition pod) {
    return pod.samples().stream()
        .anyMatch(sample -> sample.name().equals(NVME_HEALTHY) && sample.value() == 0);
  }

  TierUsage withFailingNvme(Map<String, String> failing) {
    return new TierUsage(usedBytes, selectedChunks, failing);
  }

  /** Bytes of a tier in use, if known. */
  public OptionalLong used(String tier) {
    Long bytes = usedBytes.get(tier);
    return bytes == null ? OptionalLong.empty() : OptionalLong.of(bytes);
  }

  /** Share of all selected chunks that were found in a tier, if any were selected. */
  public OptionalDouble hitRate(String tier) {
    long total = selectedChunks.values().stream().mapToLong(Long::longValue).sum();
    Long found = selectedChunks.get(tier);
    return total == 0 || found == null
        ? OptionalDouble.empty()
        : OptionalDouble.of((double) found / total);
  }
}

package dev.kvdrive.observed.usage;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Use of the tiers, summed over the pods that answered.
 *
 * @param usedBytes bytes in use, by tier
 * @param selectedChunks chunks that were selected and found in a tier since the pods started, by
 *     tier
 * @param writtenBytes bytes written in the last 24 hours, by tier
 * @param prefetched chunks that were prefetched since the pods started, and those of them that were
 *     of use
 * @param accuracy what attention left out since the pods started
 * @param attended tokens of decode steps since the pods started
 * @param spentWrites what pods say that would refuse long requests for what they have written in a
 *     day, by name of the pod
 * @param failingNvme what pods say whose NVMe volume fails them, by name of the pod
 * @param failedEngines what pods say whose engine has failed, by name of the pod
 * @param requests requests that run or wait in each ready pod that says so, by name of the pod
 */
public record TierUsage(
    Map<String, Long> usedBytes,
    Map<String, Long> selectedChunks,
    Map<String, Long> writtenBytes,
    Prefetched prefetched,
    Accuracy accuracy,
    Attended attended,
    Map<String, String> spentWrites,
    Map<String, String> failingNvme,
    Map<String, String> failedEngines,
    Map<String, Long> requests) {
  /** Chunks prefetched, and of them those that were selected while they were in the window. */
  public record Prefetched(long chunks, long hits) {
    static final Prefetched NONE = new Prefetched(0, 0);
  }

  /**
   * What was measured of attention.
   *
   * @param samples measurements
   * @param massMissed shares of the mass, summed over them
   * @param outputError errors of the output, summed over them
   */
  public record Accuracy(double samples, double massMissed, double outputError) {
    static final Accuracy NONE = new Accuracy(0, 0, 0);
  }

  /** Tokens that were attended, of those that there were. */
  public record Attended(double tokens, double context) {
    static final Attended NONE = new Attended(0, 0);
  }

  /** Nobody answered. */
  public static final TierUsage UNKNOWN =
      new TierUsage(
          Map.of(),
          Map.of(),
          Map.of(),
          Prefetched.NONE,
          Accuracy.NONE,
          Attended.NONE,
          Map.of(),
          Map.of(),
          Map.of(),
          Map.of());

  private static final String USED = "kvdrive_tier_used_bytes";
  private static final String HITS = "kvdrive_window_hits_total";
  private static final String MISSES = "kvdrive_window_misses_total";
  private static final String WRITTEN = "kvdrive_nvme_written_day_bytes";
  private static final String PREFETCHED = "kvdrive_prefetched_chunks_total";
  private static final String PREFETCHED_HITS = "kvdrive_prefetched_hits_total";
  private static final String SAMPLES = "kvdrive_accuracy_samples_total";
  private static final String MASS = "kvdrive_mass_missed_total";
  private static final String ERROR = "kvdrive_output_error_total";
  private static final String ATTENDED = "kvdrive_attended_tokens_total";
  private static final String CONTEXT = "kvdrive_context_tokens_total";
  private static final String TIER = "tier";
  private static final String WINDOW_TIER = "gpu";
  private static final String NVME = "nvme";

  private static final String RUNNING = "kvdrive_requests_running";
  private static final String WAITING = "kvdrive_requests_waiting";
  private static final String NVME_HEALTHY = "kvdrive_nvme_healthy";
  private static final String WRITES_SPENT = "kvdrive_nvme_writes_spent";

  public TierUsage {
    usedBytes = Map.copyOf(usedBytes);
    selectedChunks = Map.copyOf(selectedChunks);
    writtenBytes = Map.copyOf(writtenBytes);
    spentWrites = Map.copyOf(spentWrites);
    failingNvme = Map.copyOf(failingNvme);
    failedEngines = Map.copyOf(failedEngines);
    requests = Map.copyOf(requests);
  }

  /** The sum over the metrics of several pods. */
  public static TierUsage of(List<Exposition> pods) {
    Map<String, Long> used = new HashMap<>();
    Map<String, Long> selected = new HashMap<>();
    Map<String, Long> written = new HashMap<>();
    long prefetched = 0;
    long prefetchedHits = 0;
    double samples = 0;
    double mass = 0;
    double error = 0;
    double attended = 0;
    double context = 0;
    for (Exposition pod : pods) {
      for (Exposition.Sample sample : pod.samples()) {
        String tier = sample.labels().getOrDefault(TIER, WINDOW_TIER);
        switch (sample.name()) {
          case USED -> used.merge(tier, (long) sample.value(), Long::sum);
          case HITS -> selected.merge(WINDOW_TIER, (long) sample.value(), Long::sum);
          case MISSES -> selected.merge(tier, (long) sample.value(), Long::sum);
          case WRITTEN -> written.merge(NVME, (long) sample.value(), Long::sum);
          case PREFETCHED -> prefetched += (long) sample.value();
          case PREFETCHED_HITS -> prefetchedHits += (long) sample.value();
          case SAMPLES -> samples += sample.value();
          case MASS -> mass += sample.value();
          case ERROR -> error += sample.value();
          case ATTENDED -> attended += sample.value();
          case CONTEXT -> context += sample.value();
          default -> {}
        }
      }
    }
    return new TierUsage(
        used,
        selected,
        written,
        new Prefetched(prefetched, prefetchedHits),
        new Accuracy(samples, mass, error),
        new Attended(attended, context),
        Map.of(),
        Map.of(),
        Map.of(),
        Map.of());
  }

  /** Whether a pod says that its NVMe volume fails it. */
  public static boolean isNvmeFailing(Exposition pod) {
    return says(pod, NVME_HEALTHY, 0);
  }

  /** Whether a pod says that it has written so much today that it would refuse long requests. */
  public static boolean areWritesSpent(Exposition pod) {
    return says(pod, WRITES_SPENT, 1);
  }

  private static boolean says(Exposition pod, String metric, double value) {
    return pod.samples().stream()
        .anyMatch(sample -> sample.name().equals(metric) && sample.value() == value);
  }

  /** Requests that run or wait in a pod, if it says so. */
  public static OptionalLong requests(Exposition pod) {
    OptionalLong running = count(pod, RUNNING);
    OptionalLong waiting = count(pod, WAITING);
    return running.isPresent() && waiting.isPresent()
        ? OptionalLong.of(running.getAsLong() + waiting.getAsLong())
        : OptionalLong.empty();
  }

  private static OptionalLong count(Exposition pod, String metric) {
    return pod.samples().stream()
        .filter(sample -> sample.name().equals(metric))
        .mapToLong(sample -> (long) sample.value())
        .findFirst();
  }

  /** The same, and what pods say of themselves. */
  public TierUsage with(
      Map<String, String> spent,
      Map<String, String> nvme,
      Map<String, String> engines,
      Map<String, Long> requestsOfPods) {
    return new TierUsage(
        usedBytes,
        selectedChunks,
        writtenBytes,
        prefetched,
        accuracy,
        attended,
        spent,
        nvme,
        engines,
        requestsOfPods);
  }

  /** Bytes of a tier in use, if known. */
  public OptionalLong used(String tier) {
    return of(usedBytes.get(tier));
  }

  /** Bytes written to a tier in the last 24 hours, if that is counted there. */
  public OptionalLong written(String tier) {
    return of(writtenBytes.get(tier));
  }

  private static OptionalLong of(@Nullable Long bytes) {
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

  /** Share of the context's tokens that decode steps attended, if there were any. */
  public OptionalDouble attendedShare() {
    return attended.context() == 0
        ? OptionalDouble.empty()
        : OptionalDouble.of(attended.tokens() / attended.context());
  }

  /** Share of what was prefetched into a tier that was of use there, if anything was. */
  public OptionalDouble prefetchUse(String tier) {
    return tier.equals(WINDOW_TIER) && prefetched.chunks() > 0
        ? OptionalDouble.of((double) prefetched.hits() / prefetched.chunks())
        : OptionalDouble.empty();
  }
}

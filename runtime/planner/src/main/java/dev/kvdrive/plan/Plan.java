package dev.kvdrive.plan;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The outcome of {@link Planner#plan}: either sizes that fit, or what is missing and what would
 * fit.
 *
 * @param request what was asked
 * @param sizes what the engine allocates by; null if it does not fit
 * @param pod what the pod asks for; null if it does not fit
 * @param demands the arithmetic, by tier; of the smallest possible configuration if it does not fit
 * @param shortfalls one sentence for each reason that it does not fit; empty if it fits
 * @param alternatives the nearest requests that do fit
 * @param warnings what fits but will probably disappoint
 */
public record Plan(
    PlanRequest request,
    @Nullable EngineSizes sizes,
    @Nullable PodSizes pod,
    List<Demand> demands,
    List<String> shortfalls,
    List<Alternative> alternatives,
    List<String> warnings) {
  public Plan {
    demands = List.copyOf(demands);
    shortfalls = List.copyOf(shortfalls);
    alternatives = List.copyOf(alternatives);
    warnings = List.copyOf(warnings);
  }

  /** Whether it fits. */
  public boolean feasible() {
    return shortfalls.isEmpty();
  }

  /**
   * The sizes of a plan that fits.
   *
   * @throws InfeasiblePlanException if it does not fit, with the whole explanation
   */
  public EngineSizes requireSizes() {
    if (sizes == null) {
      throw new InfeasiblePlanException(verdict());
    }
    return sizes;
  }

  /**
   * The pod sizes of a plan that fits.
   *
   * @throws InfeasiblePlanException if it does not fit, with the whole explanation
   */
  public PodSizes requirePod() {
    if (pod == null) {
      throw new InfeasiblePlanException(verdict());
    }
    return pod;
  }

  /** Bytes that a tier's demands add up to. */
  public long demand(Demand.Tier tier) {
    return demands.stream().filter(d -> d.tier() == tier).mapToLong(Demand::bytes).sum();
  }

  /** GPU memory that the engine allocates: all but what the device takes for itself. */
  public long allocatedOnDevice() {
    return demands.stream()
        .filter(d -> d.tier() == Demand.Tier.GPU && !d.item().equals(Demand.DEVICE))
        .mapToLong(Demand::bytes)
        .sum();
  }

  /** The outcome in one paragraph: the same text in log, condition and JSON. */
  public String verdict() {
    String what =
        "%s at %,d tokens x %d"
            .formatted(
                request.model().name(),
                request.load().contextLength(),
                request.load().concurrency());
    if (feasible()) {
      EngineSizes s = requireSizes();
      return "%s fits: %s of GPU memory, %s of DRAM, %s of NVMe; window of %,d chunks per head for %,d selected"
          .formatted(
              what,
              ByteSize.human(demand(Demand.Tier.GPU)),
              ByteSize.human(demand(Demand.Tier.DRAM)),
              ByteSize.human(demand(Demand.Tier.NVME)),
              s.windowSlots(),
              s.maxSelected());
    }
    StringBuilder text = new StringBuilder(what).append(" does not fit: ");
    text.append(String.join(" ", shortfalls));
    if (!alternatives.isEmpty()) {
      text.append(" What would fit: ")
          .append(String.join("; or ", alternatives.stream().map(Alternative::text).toList()))
          .append('.');
    }
    return text.toString();
  }
}

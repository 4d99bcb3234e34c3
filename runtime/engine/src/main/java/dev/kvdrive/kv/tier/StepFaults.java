package dev.kvdrive.kv.tier;

import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Why chunks of a step did not come from NVMe, by seat. A row whose {@code Selection.FAULT_COUNTER}
 * is not zero is late, or has a reason here.
 *
 * @param reasons first reason of each seat that had one
 * @param late seats whose chunks are still on their way: their step is to be repeated, from the
 *     same state, once {@link TieredStore#waits} says so
 * @param stopped whether the device gave up waiting in this step
 */
public record StepFaults(Map<Integer, Reason> reasons, Set<Integer> late, boolean stopped) {
  /**
   * One reason.
   *
   * @param message names file, offset, cause and way out; may be shown to the user
   * @param cause what was thrown, if anything
   */
  public record Reason(String message, @Nullable Throwable cause) {
    /** An extent could not be read. */
    static Reason unreadable(String extent, String why, @Nullable Throwable cause) {
      return new Reason(
          "%s could not be read from NVMe: %s; its sequence cannot go on. Send the request again; if this repeats, check the disk"
              .formatted(extent, why),
          cause);
    }
  }

  /** No faults. */
  public static final StepFaults NONE = new StepFaults(Map.of(), Set.of(), false);

  private static final Reason LATE =
      new Reason(
          "the NVMe tier did not deliver a chunk in time and the step was given up; the disk is"
              + " overloaded or failing: see the log, raise the fetch timeout, or give DRAM more"
              + " room",
          null);

  public StepFaults {
    reasons = Map.copyOf(reasons);
    late = Set.copyOf(late);
  }

  /** Whether the seat's row is to be repeated rather than ended. */
  public boolean repeats(int seat) {
    return late.contains(seat) && !reasons.containsKey(seat);
  }

  /** The reason for a seat whose row counted faults; never null. */
  public Reason of(int seat) {
    return reasons.getOrDefault(seat, reasons.getOrDefault(TierException.NO_SEAT, LATE));
  }
}

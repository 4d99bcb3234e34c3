package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.tier.StepFaults.Reason;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Which seats miss a chunk in the step under way, and why. Thread-safe. */
final class StepLosses {
  private final Map<Integer, Reason> reasons = new HashMap<>();
  private final Set<Integer> late = new HashSet<>();

  /** A seat does not get a chunk; what was said first counts. */
  synchronized void fail(int seat, Reason reason) {
    reasons.putIfAbsent(seat, reason);
  }

  void fail(int seat, String message, @Nullable Throwable cause) {
    fail(seat, new Reason(message, cause));
  }

  /** A chunk of a seat has not come yet. */
  synchronized void late(int seat) {
    late.add(seat);
  }

  /** Whether a seat has missed a chunk in this step, so that nothing helps it any more. */
  synchronized boolean lost(int seat) {
    return late.contains(seat) || reasons.containsKey(seat);
  }

  /**
   * What the step has lost; another begins.
   *
   * @param stopped whether the device gave up waiting
   */
  synchronized StepFaults take(boolean stopped) {
    StepFaults faults =
        reasons.isEmpty() && late.isEmpty() && !stopped
            ? StepFaults.NONE
            : new StepFaults(reasons, late, stopped);
    reasons.clear();
    late.clear();
    return faults;
  }
}

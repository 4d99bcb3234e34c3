package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.status.ConditionTypes;
import dev.kvdrive.operator.status.Observation;
import dev.kvdrive.operator.status.Pods;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Whether a changed specification waits for the pods that serve to have no request. What runs is
 * then kept as it is, as that of a specification that is refused. Since when it waits is said by a
 * condition, so that another operator goes on counting.
 */
final class IdleRollout {
  private static final Long IDLE = 0L;

  private IdleRollout() {}

  /** Until when it waits at the latest, if it does. */
  static Optional<Instant> heldUntil(
      InferenceDeployment deployment,
      DesiredObjects desired,
      ClusterView view,
      Instant now,
      Context<InferenceDeployment> context) {
    Integer timeout = desired.request().pod().idleTimeoutSeconds();
    HasMetadata workload = Upkeep.workload(context);
    if (timeout == null || workload == null || !desired.replacesPodsOf(workload)) {
      return Optional.empty();
    }
    Instant until =
        since(deployment).orElse(now.truncatedTo(ChronoUnit.SECONDS)).plusSeconds(timeout);
    return now.isBefore(until) && !isIdle(view.observe(context))
        ? Optional.of(until)
        : Optional.empty();
  }

  /** A pod that serves and does not say how much it has to do may have much. */
  private static boolean isIdle(Observation observed) {
    Map<String, Long> requests = observed.usage().requests();
    return observed.pods().stream()
        .filter(Pods::isReady)
        .allMatch(pod -> IDLE.equals(requests.get(pod.getMetadata().getName())));
  }

  private static Optional<Instant> since(InferenceDeployment deployment) {
    List<Condition> conditions =
        deployment.getStatus() == null || deployment.getStatus().conditions() == null
            ? List.of()
            : deployment.getStatus().conditions();
    return conditions.stream()
        .filter(c -> c.getType().equals(ConditionTypes.ROLLOUT_WAITING))
        .map(c -> Instant.parse(c.getLastTransitionTime()))
        .findFirst();
  }
}

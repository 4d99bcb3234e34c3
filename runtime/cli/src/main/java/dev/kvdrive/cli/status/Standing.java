package dev.kvdrive.cli.status;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import io.fabric8.kubernetes.api.model.Condition;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Where a deployment stands, in one word, and why.
 *
 * @param word for people
 * @param reason of the condition that stands worst; {@code -} if none does
 */
record Standing(String word, String reason) {
  /** What is there only while something is the matter, though pods serve. */
  private static final List<String> BESIDE_READY =
      List.of("WritesSpent", "RolloutWaiting", "Altered");

  static Standing of(InferenceDeployment deployment) {
    List<Condition> conditions = conditions(deployment);
    Optional<Condition> ready = condition(conditions, "Ready");
    if (ready.isEmpty()) {
      return new Standing("Unjudged", "NoOperator");
    }
    if (isTrue(ready)) {
      return new Standing(
          "Ready",
          BESIDE_READY.stream()
              .map(type -> condition(conditions, type))
              .filter(Standing::isTrue)
              .map(Optional::orElseThrow)
              .map(Condition::getReason)
              .findFirst()
              .orElse("-"));
    }
    String word =
        isTrue(condition(conditions, "Stalled"))
            ? "Stalled"
            : isTrue(condition(conditions, "Reconciling")) ? "Working" : "NotReady";
    return new Standing(word, ready.get().getReason());
  }

  /** What the status says, in its order; empty without one. */
  static List<Condition> conditions(InferenceDeployment deployment) {
    @Nullable InferenceDeploymentStatus status = deployment.getStatus();
    return status == null ? List.of() : Objects.requireNonNullElse(status.conditions(), List.of());
  }

  static Optional<Condition> condition(List<Condition> conditions, String type) {
    return conditions.stream().filter(c -> c.getType().equals(type)).findFirst();
  }

  private static boolean isTrue(Optional<Condition> condition) {
    return condition.filter(c -> "True".equals(c.getStatus())).isPresent();
  }
}

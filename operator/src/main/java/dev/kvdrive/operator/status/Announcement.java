package dev.kvdrive.operator.status;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.EventBuilder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * A change of a deployment's Ready condition as an event, for those who look at it with {@code
 * kubectl describe} or at the namespace with {@code kubectl events}. The status says what is; the
 * events say how it came about.
 */
public final class Announcement {
  /** Reasons that only say that something is under way. */
  private static final Set<String> UNDER_WAY =
      Set.of("Starting", "RollingOut", "VolumePending", "Loading", "WaitsForIdle");

  /** Kubernetes' limit of an event's note, which older servers enforce for events of any kind. */
  private static final int MOST_MESSAGE = 1024;

  private Announcement() {}

  /**
   * The event that tells of the step from the status that {@code deployment} has to {@code after};
   * empty when Ready keeps its status and reason. The same step has the same name.
   *
   * @param component that reports it
   */
  public static Optional<Event> of(
      InferenceDeployment deployment,
      InferenceDeploymentStatus after,
      String component,
      Instant now) {
    Condition ready = ready(after);
    Condition before = ready(deployment.getStatus());
    if (ready == null
        || (before != null
            && Objects.equals(before.getStatus(), ready.getStatus())
            && Objects.equals(before.getReason(), ready.getReason()))) {
      return Optional.empty();
    }
    boolean normal = "True".equals(ready.getStatus()) || UNDER_WAY.contains(ready.getReason());
    return Optional.of(
        event(
            deployment,
            name(
                deployment,
                before == null ? "" : before.getLastTransitionTime(),
                before == null ? "" : before.getStatus() + " " + before.getReason(),
                ready.getStatus() + " " + ready.getReason()),
            normal,
            ready.getReason(),
            ready.getMessage(),
            component,
            now));
  }

  /**
   * The event that tells that an operator leaves {@code deployment} to another.
   *
   * @param other that serves it
   * @param component that reports it
   */
  public static Event leftAlone(
      InferenceDeployment deployment, String other, String message, String component, Instant now) {
    return event(
        deployment,
        name(deployment, other, message),
        false,
        "ServedByAnother",
        message,
        component,
        now);
  }

  private static Event event(
      InferenceDeployment deployment,
      String name,
      boolean normal,
      String reason,
      String message,
      String component,
      Instant now) {
    String time = now.truncatedTo(ChronoUnit.SECONDS).toString();
    return new EventBuilder()
        .withNewMetadata()
        .withName(name)
        .withNamespace(deployment.getMetadata().getNamespace())
        .endMetadata()
        .withNewInvolvedObject()
        .withApiVersion(deployment.getApiVersion())
        .withKind(deployment.getKind())
        .withNamespace(deployment.getMetadata().getNamespace())
        .withName(deployment.getMetadata().getName())
        .withUid(deployment.getMetadata().getUid())
        .endInvolvedObject()
        .withType(normal ? "Normal" : "Warning")
        .withReason(reason)
        .withMessage(cut(message))
        .withNewSource()
        .withComponent(component)
        .endSource()
        .withReportingComponent(component)
        .withFirstTimestamp(time)
        .withLastTimestamp(time)
        .withCount(1)
        .build();
  }

  /**
   * A name of the step itself: who sees the same step twice, because a cache is behind, announces
   * it under the same name, and the second is refused.
   */
  private static String name(InferenceDeployment deployment, String... what) {
    String step = deployment.getMetadata().getUid() + "\n" + String.join("\n", what);
    String digest = UUID.nameUUIDFromBytes(step.getBytes(StandardCharsets.UTF_8)).toString();
    return deployment.getMetadata().getName() + "." + digest.replace("-", "").substring(0, 16);
  }

  private static @Nullable Condition ready(@Nullable InferenceDeploymentStatus status) {
    return status == null || status.conditions() == null
        ? null
        : status.conditions().stream()
            .filter(c -> c.getType().equals(ConditionTypes.READY))
            .findFirst()
            .orElse(null);
  }

  private static String cut(String message) {
    return message.length() <= MOST_MESSAGE
        ? message
        : message.substring(0, MOST_MESSAGE - 1) + "…";
  }
}

package dev.kvdrive.operator.status;

import io.fabric8.kubernetes.api.model.ContainerState;
import io.fabric8.kubernetes.api.model.ContainerStateTerminated;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodCondition;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Why a pod does not serve.
 *
 * @param reason CamelCase: the runtime's own, or Kubernetes'
 * @param message for people, with the pod's name
 * @param kind what it concerns
 * @param lasting whether waiting will not help
 */
record PodTrouble(String reason, String message, Kind kind, boolean lasting) {
  /** What a trouble concerns. */
  enum Kind {
    MODEL,
    STORAGE,
    RUNTIME
  }

  /** Reason of an end for which the runtime named none. */
  static final String RUNTIME_FAILED = "RuntimeFailed";

  /** Restarts after which a runtime that fails for no named reason is not expected to recover. */
  private static final int HOPELESS_RESTARTS = 5;

  /** The runtime's last words: {@code Reason: what happened}. */
  private static final Pattern LAST_WORDS =
      Pattern.compile("\\A\\s*([A-Z][A-Za-z]{2,40}): (.+)\\z", Pattern.DOTALL);

  /** How the runtime's check of its machine begins what it says about the volume. */
  private static final String VOLUME_SHORTAGE = "NVMe volume:";

  /** What the scheduler says in the moment between a pod and its ephemeral volume's claim. */
  private static final String CLAIM_TO_COME = "waiting for ephemeral volume controller";

  private static final Set<String> NEVER_STARTS =
      Set.of("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError");
  private static final Set<String> MAY_START =
      Set.of("ErrImagePull", "ImagePullBackOff", "CreateContainerError", "RunContainerError");

  /** The gravest trouble of the newest pod that has one. */
  static Optional<PodTrouble> of(List<Pod> pods) {
    return pods.stream()
        .sorted(Comparator.comparing(PodTrouble::creation).reversed())
        .flatMap(pod -> ofPod(pod).stream())
        .findFirst();
  }

  private static String creation(Pod pod) {
    return Objects.requireNonNullElse(pod.getMetadata().getCreationTimestamp(), "");
  }

  private static Optional<PodTrouble> ofPod(Pod pod) {
    if (pod.getStatus() == null) {
      return Optional.empty();
    }
    String name = pod.getMetadata().getName();
    for (ContainerStatus container : pod.getStatus().getContainerStatuses()) {
      if (Boolean.TRUE.equals(container.getReady())) {
        return Optional.empty();
      }
      Optional<PodTrouble> trouble = ofContainer(name, container);
      if (trouble.isPresent()) {
        return trouble;
      }
    }
    if ("Failed".equals(pod.getStatus().getPhase())) {
      return Optional.of(
          new PodTrouble(
              Objects.requireNonNullElse(pod.getStatus().getReason(), "PodFailed"),
              "Pod %s failed: %s".formatted(name, pod.getStatus().getMessage()),
              Kind.RUNTIME,
              false));
    }
    return unscheduled(pod);
  }

  private static Optional<PodTrouble> ofContainer(String pod, ContainerStatus container) {
    var waiting = container.getState() == null ? null : container.getState().getWaiting();
    if (waiting != null && waiting.getReason() != null) {
      boolean never = NEVER_STARTS.contains(waiting.getReason());
      if (never || MAY_START.contains(waiting.getReason())) {
        return Optional.of(
            new PodTrouble(
                waiting.getReason(),
                "Pod %s cannot start: %s".formatted(pod, waiting.getMessage()),
                Kind.RUNTIME,
                never));
      }
    }
    ContainerStateTerminated end = terminated(container.getState());
    if (end == null) {
      end = terminated(container.getLastState());
    }
    return end == null || end.getExitCode() == 0
        ? Optional.empty()
        : Optional.of(ended(pod, container, end));
  }

  private static @Nullable ContainerStateTerminated terminated(@Nullable ContainerState state) {
    return state == null ? null : state.getTerminated();
  }

  private static PodTrouble ended(
      String pod, ContainerStatus container, ContainerStateTerminated end) {
    int restarts = Objects.requireNonNullElse(container.getRestartCount(), 0);
    if ("OOMKilled".equals(end.getReason())) {
      return new PodTrouble(
          "OutOfMemory",
          "Pod %s used more memory than its plan gives it and was ended (restarts: %d)."
              .formatted(pod, restarts),
          Kind.RUNTIME,
          restarts >= HOPELESS_RESTARTS);
    }
    String words = Objects.requireNonNullElse(end.getMessage(), "").strip();
    Matcher named = LAST_WORDS.matcher(words);
    if (named.matches()) {
      Kind kind = kind(named.group(1));
      return new PodTrouble(
          named.group(1),
          "Pod %s: %s".formatted(pod, named.group(2)),
          kind,
          kind != Kind.RUNTIME || restarts >= HOPELESS_RESTARTS);
    }
    if (words.contains(VOLUME_SHORTAGE)) {
      return new PodTrouble(
          "VolumeInsufficient", "Pod %s: %s".formatted(pod, words), Kind.STORAGE, true);
    }
    return new PodTrouble(
        RUNTIME_FAILED,
        "Pod %s exited with code %d (restarts: %d): %s"
            .formatted(
                pod, end.getExitCode(), restarts, words.isEmpty() ? "it left no message" : words),
        Kind.RUNTIME,
        restarts >= HOPELESS_RESTARTS);
  }

  private static Kind kind(String reason) {
    if (reason.startsWith("Model")) {
      return Kind.MODEL;
    }
    if (reason.startsWith("Volume") || reason.startsWith("Storage")) {
      return Kind.STORAGE;
    }
    return Kind.RUNTIME;
  }

  private static Optional<PodTrouble> unscheduled(Pod pod) {
    return pod.getStatus().getConditions().stream()
        .filter(c -> "PodScheduled".equals(c.getType()) && "False".equals(c.getStatus()))
        .map(PodCondition::getMessage)
        .filter(Objects::nonNull)
        .filter(message -> !message.contains(CLAIM_TO_COME))
        .map(
            message ->
                new PodTrouble(
                    "Unschedulable",
                    "Pod %s cannot be scheduled: %s"
                        .formatted(pod.getMetadata().getName(), message),
                    concernsStorage(message) ? Kind.STORAGE : Kind.RUNTIME,
                    false))
        .findFirst();
  }

  /** The scheduler names what its volume plugins found in words only. */
  private static boolean concernsStorage(String message) {
    return message.contains("PersistentVolumeClaim")
        || message.contains("persistentvolumeclaim")
        || message.contains("persistent volume")
        || message.contains("free storage")
        || message.contains("volume node affinity");
  }
}

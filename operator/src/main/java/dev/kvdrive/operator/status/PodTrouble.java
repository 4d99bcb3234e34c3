package dev.kvdrive.operator.status;

import dev.kvdrive.feasibility.Assessor;
import io.fabric8.kubernetes.api.model.ContainerState;
import io.fabric8.kubernetes.api.model.ContainerStateTerminated;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodCondition;
import java.time.Duration;
import java.time.Instant;
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

  /** Reason of a pod that no node has room for. */
  static final String UNSCHEDULABLE = "Unschedulable";

  /** Reasons of a container that waits for an image. */
  static final Set<String> PULLS =
      Set.of(
          "ErrImagePull",
          "ImagePullBackOff",
          "RegistryUnavailable",
          "SignatureValidationFailed",
          "ImageInspectError",
          "InvalidImageName",
          "ErrImageNeverPull");

  /** Restarts after which a runtime that fails for no named reason is not expected to recover. */
  private static final int HOPELESS_RESTARTS = 5;

  /** The runtime's last words: {@code Reason: what happened}. */
  private static final Pattern LAST_WORDS =
      Pattern.compile("\\A\\s*([A-Z][A-Za-z]{2,40}): (.+)\\z", Pattern.DOTALL);

  /** How the runtime's check of its machine begins what it says about the volume. */
  private static final String VOLUME_SHORTAGE = "NVMe volume:";

  /** What the scheduler says in the moment between a pod and its ephemeral volume's claim. */
  private static final List<String> CLAIM_TO_COME =
      List.of("waiting for ephemeral volume controller", "could not find v1.PersistentVolumeClaim");

  /** What is recorded when a claim of dynamic resource allocation cannot be made. */
  private static final String NO_DEVICE_CLAIM = "FailedResourceClaimCreation";

  /** What the scheduler says meanwhile, if anything. */
  private static final String DEVICE_CLAIM_TO_COME = "ResourceClaim not created yet";

  /** What says of a pod that its volumes and its sandbox are there. */
  private static final Set<String> SET_UP = Set.of("Pulling", "Pulled", "Created", "Started");

  /** How the kubelet sums up what it has said of each volume before. */
  private static final String SUMMARY_OF_MOUNTS = "Unable to attach or mount volumes";

  /** What is said when a pull secret is missing; the image may be pulled all the same. */
  private static final String NO_PULL_SECRET = "FailedToRetrieveImagePullSecret";

  /** An attempt looks for its secrets, then pulls; the times of events are of whole seconds. */
  private static final Duration SAME_ATTEMPT = Duration.ofSeconds(5);

  private static final Pattern PULL_SECRETS = Pattern.compile("pull secrets \\(([^)]+)\\)");

  private static final Set<String> NEVER_STARTS =
      Set.of("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError");
  private static final Set<String> MAY_START =
      Set.of(
          "ErrImagePull",
          "ImagePullBackOff",
          "RegistryUnavailable",
          "SignatureValidationFailed",
          "ImageInspectError",
          "CreateContainerError",
          "RunContainerError");

  /**
   * The gravest trouble of the newest pod that has one.
   *
   * @param pods to look at
   * @param observed with what is recorded about them
   */
  static Optional<PodTrouble> of(List<Pod> pods, Observation observed) {
    return pods.stream()
        .sorted(Comparator.comparing(PodTrouble::creation).reversed())
        .flatMap(pod -> of(pod, observed.recordedOf(pod)).stream())
        .findFirst();
  }

  /** The pod that was made last. */
  static Optional<Pod> newest(List<Pod> pods) {
    return pods.stream().max(Comparator.comparing(PodTrouble::creation));
  }

  private static String creation(Pod pod) {
    return Objects.requireNonNullElse(pod.getMetadata().getCreationTimestamp(), "");
  }

  /**
   * The trouble of one pod.
   *
   * @param recorded about the pod
   */
  static Optional<PodTrouble> of(Pod pod, List<Recorded> recorded) {
    if (pod.getStatus() == null) {
      return Optional.empty();
    }
    String name = pod.getMetadata().getName();
    for (ContainerStatus container : pod.getStatus().getContainerStatuses()) {
      if (Boolean.TRUE.equals(container.getReady())) {
        return Optional.empty();
      }
      Optional<PodTrouble> trouble = ofContainer(pod, container, recorded);
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
    return isScheduled(pod) ? settingUp(pod, recorded) : unscheduled(pod, recorded);
  }

  private static Optional<PodTrouble> ofContainer(
      Pod pod, ContainerStatus container, List<Recorded> recorded) {
    var waiting = container.getState() == null ? null : container.getState().getWaiting();
    if (waiting != null && waiting.getReason() != null) {
      boolean never = NEVER_STARTS.contains(waiting.getReason());
      if (never || MAY_START.contains(waiting.getReason())) {
        String words = Objects.requireNonNullElse(waiting.getMessage(), waiting.getReason());
        return MissingReference.in(words, pod)
            .or(
                () ->
                    Optional.of(
                        new PodTrouble(
                            waiting.getReason(),
                            "Pod %s cannot start: %s%s"
                                .formatted(
                                    pod.getMetadata().getName(),
                                    pulling(words, recorded),
                                    pullSecrets(recorded)),
                            Kind.RUNTIME,
                            never)));
      }
    }
    ContainerStateTerminated end = terminated(container.getState());
    if (end == null) {
      end = terminated(container.getLastState());
    }
    return end == null || end.getExitCode() == 0
        ? Optional.empty()
        : Optional.of(ended(pod.getMetadata().getName(), container, end));
  }

  /** Older kubelets say in the container's state only that they wait before the next attempt. */
  private static String pulling(String words, List<Recorded> recorded) {
    return words.startsWith("Back-off pulling image") && !words.contains("ErrImagePull")
        ? Recorded.latest(
                recorded,
                r -> r.reason().equals("Failed") && r.message().startsWith("Failed to pull"))
            .map(Recorded::message)
            .orElse(words)
        : words;
  }

  /** Names the pull secrets that the latest attempt did not find. */
  private static String pullSecrets(List<Recorded> recorded) {
    Instant attempt =
        Recorded.latest(recorded, r -> r.reason().equals("Pulling"))
            .map(Recorded::at)
            .orElse(Instant.MIN);
    return Recorded.latest(recorded, r -> r.reason().equals(NO_PULL_SECRET))
        .filter(r -> !r.at().plus(SAME_ATTEMPT).isBefore(attempt))
        .map(
            r -> {
              Matcher names = PULL_SECRETS.matcher(r.message());
              return names.find()
                  ? " (There is no pull secret %s in its namespace.)".formatted(names.group(1))
                  : " (" + r.message() + ")";
            })
        .orElse("");
  }

  private static boolean isScheduled(Pod pod) {
    return (pod.getSpec() != null && pod.getSpec().getNodeName() != null)
        || pod.getStatus().getConditions().stream()
            .anyMatch(c -> "PodScheduled".equals(c.getType()) && "True".equals(c.getStatus()));
  }

  /**
   * Why a pod that has its node gets no container: its volumes or its sandbox. Only events say so;
   * one from before the last progress is over.
   */
  private static Optional<PodTrouble> settingUp(Pod pod, List<Recorded> recorded) {
    if (pod.getStatus().getContainerStatuses().stream().anyMatch(PodTrouble::hasBegun)) {
      return Optional.empty();
    }
    Instant setUp = latest(recorded, SET_UP);
    Instant attached = latest(recorded, Set.of("SuccessfulAttachVolume"));
    List<Recorded> failures =
        recorded.stream()
            .filter(Recorded::warning)
            .filter(r -> !r.reason().equals("FailedScheduling"))
            .filter(r -> !r.reason().equals(NO_PULL_SECRET))
            .filter(r -> r.at().isAfter(setUp))
            .filter(r -> !r.reason().equals("FailedAttachVolume") || r.at().isAfter(attached))
            .toList();
    return Recorded.latest(failures, r -> !r.message().startsWith(SUMMARY_OF_MOUNTS))
        .or(() -> Recorded.latest(failures, r -> true))
        .map(
            r ->
                MissingReference.in(r.message(), pod)
                    .orElseGet(
                        () ->
                            new PodTrouble(
                                r.reason(),
                                "Pod %s cannot start: %s"
                                    .formatted(pod.getMetadata().getName(), r.message()),
                                Kind.RUNTIME,
                                false)));
  }

  private static boolean hasBegun(ContainerStatus container) {
    return container.getState() == null
        || container.getState().getWaiting() == null
        || terminated(container.getLastState()) != null;
  }

  private static Instant latest(List<Recorded> recorded, Set<String> reasons) {
    return Recorded.latest(recorded, r -> reasons.contains(r.reason()))
        .map(Recorded::at)
        .orElse(Instant.MIN);
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
    Optional<PodTrouble> named = named(pod, words, restarts);
    if (named.isPresent()) {
      return named.get();
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

  /** What a runtime says that names its reason. */
  static Optional<PodTrouble> named(String pod, String words, int restarts) {
    Matcher named = LAST_WORDS.matcher(words);
    if (!named.matches()) {
      return Optional.empty();
    }
    Kind kind = kind(named.group(1));
    return Optional.of(
        new PodTrouble(
            named.group(1),
            "Pod %s: %s".formatted(pod, named.group(2)),
            kind,
            kind != Kind.RUNTIME
                || named.group(1).equals(Assessor.GPU_TOO_SMALL)
                || restarts >= HOPELESS_RESTARTS));
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

  private static Optional<PodTrouble> unscheduled(Pod pod, List<Recorded> recorded) {
    String name = pod.getMetadata().getName();
    Optional<String> words =
        pod.getStatus().getConditions().stream()
            .filter(c -> "PodScheduled".equals(c.getType()) && "False".equals(c.getStatus()))
            .map(PodCondition::getMessage)
            .filter(Objects::nonNull)
            .findFirst();
    Optional<Recorded> noClaim = Recorded.latest(recorded, r -> r.reason().equals(NO_DEVICE_CLAIM));
    if (noClaim.isPresent() && words.map(w -> w.contains(DEVICE_CLAIM_TO_COME)).orElse(true)) {
      return Optional.of(
          new PodTrouble(
              noClaim.get().message().contains("not found")
                  ? "ClaimTemplateNotFound"
                  : NO_DEVICE_CLAIM,
              "Pod %s gets no claim of its GPU: %s. The ResourceClaimTemplate must be in the namespace of the deployment; once it is, the pod goes on by itself."
                  .formatted(name, noClaim.get().message()),
              Kind.RUNTIME,
              false));
    }
    if (words.map(message -> CLAIM_TO_COME.stream().anyMatch(message::contains)).orElse(false)) {
      return Recorded.latest(recorded, r -> r.reason().equals("FailedBinding"))
          .map(
              r ->
                  new PodTrouble(
                      "VolumeRejected",
                      "The volume of pod %s cannot be claimed: %s".formatted(name, r.message()),
                      Kind.STORAGE,
                      false));
    }
    return words.map(
        message ->
            new PodTrouble(
                UNSCHEDULABLE,
                "Pod %s cannot be scheduled: %s".formatted(name, message),
                concernsStorage(message) ? Kind.STORAGE : Kind.RUNTIME,
                false));
  }

  /** The scheduler names what its volume plugins found in words only. */
  private static boolean concernsStorage(String message) {
    return message.contains("PersistentVolumeClaim")
        || message.contains("persistentvolumeclaim")
        || message.contains("persistent volume")
        || message.contains("storageclass")
        || message.contains("free storage")
        || message.contains("volume node affinity");
  }
}

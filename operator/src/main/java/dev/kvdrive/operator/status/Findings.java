package dev.kvdrive.operator.status;

import static dev.kvdrive.operator.status.ConditionTypes.MODEL_AVAILABLE;
import static dev.kvdrive.operator.status.ConditionTypes.RUNTIME_READY;
import static dev.kvdrive.operator.status.ConditionTypes.STORAGE_BOUND;
import static dev.kvdrive.operator.status.ConditionTypes.WRITES_SPENT;

import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.GpuRequest;
import dev.kvdrive.feasibility.Quantities;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.status.Observation.Workload;
import dev.kvdrive.operator.status.PodTrouble.Kind;
import dev.kvdrive.plan.ByteSize;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.Volume;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** What the cluster says about a feasible deployment, condition by condition. */
final class Findings {
  private static final String WAITS_FOR_POD = "WaitsForPod";

  private static final String WAITS_FOR_IDLE = "WaitsForIdle";

  private static final String SCALED_TO_ZERO = "ScaledToZero";

  /** What is recorded about a claim when there is nothing to do for it until its pod has a node. */
  private static final Set<String> BEGUN_ANEW =
      Set.of("WaitForFirstConsumer", "WaitForPodScheduled", "ProvisioningSucceeded");

  /** Provisioners' longest time between two attempts. */
  private static final Duration LONGEST_RETRY = Duration.ofMinutes(5);

  /** What a kubelet says of the volume with the model that it knows no plugin for. */
  private static final Pattern MODEL_NOT_PROCESSED =
      Pattern.compile("failed to process volumes=\\[([^]]* )?model[ \\]]");

  private static final String MODEL_FOLDER = "/var/lib/kvdrive/model";

  private static final String IMAGE_VOLUMES_UNSUPPORTED = "ImageVolumesUnsupported";

  private static final String IMAGE_VOLUMES_WAY_OUT =
      "It is on by default from Kubernetes 1.35, before with --feature-gates=ImageVolume=true of the API server and the kubelets. Or have the model in a claim: pvc://CLAIM/PATH.";

  /** How a container runtime's failure to mount an image begins. */
  private static final String IMAGE_NOT_MOUNTED = "ImageVolumeMountFailed";

  private final Request request;
  private final DesiredObjects desired;
  private final long volumeBytes;
  private final Observation observed;

  /** Those that the replicas asked for use. */
  private final List<PersistentVolumeClaim> claims;

  private final Optional<PodTrouble> trouble;

  Findings(Feasible feasible, Observation observed) {
    this.request = feasible.request();
    this.desired = new DesiredObjects(feasible);
    this.volumeBytes = feasible.plan().requirePod().volumeBytes();
    this.observed = observed;
    this.claims =
        observed.claims().stream()
            .filter(claim -> !isLeaving(claim))
            .filter(claim -> !isSpare(feasible.request(), claim))
            .toList();
    this.trouble = PodTrouble.of(concerned(), observed).map(this::attributed);
  }

  /**
   * The pods whose trouble is that of the current specification: not those that it has replaced,
   * which go. As long as it has none, those that are there stand in its way.
   */
  private List<Pod> concerned() {
    List<Pod> current = observed.pods().stream().filter(desired::configures).toList();
    return PodTrouble.newest(current)
        .map(newest -> current.stream().filter(pod -> Pods.haveSameTemplate(pod, newest)).toList())
        .orElse(observed.pods());
  }

  Finding model() {
    if (observed.workload().map(Workload::template).filter(desired::lostItsModel).isPresent()) {
      return Finding.stuck(
          MODEL_AVAILABLE,
          IMAGE_VOLUMES_UNSUPPORTED,
          "The API server has dropped image %s of the model from the pods, for its feature ImageVolume is off. %s"
              .formatted(request.modelImage().orElseThrow(), IMAGE_VOLUMES_WAY_OUT));
    }
    Optional<PodTrouble> here = trouble(Kind.MODEL);
    if (here.isPresent()) {
      return inPodsStead(finding(MODEL_AVAILABLE, here.get()));
    }
    if (request.model().uri().startsWith("builtin:")) {
      return Finding.holds(MODEL_AVAILABLE, "Bundled", "The model is part of the runtime image.");
    }
    if (request.replicas() == 0) {
      return Finding.holds(MODEL_AVAILABLE, SCALED_TO_ZERO, "No pod needs the model.");
    }
    // A pod of an earlier specification has loaded another model, or the same for another plan.
    boolean loaded = observed.pods().stream().filter(desired::configures).anyMatch(Pods::isReady);
    return loaded
        ? Finding.holds(MODEL_AVAILABLE, "Loaded", "A pod has loaded the model.")
        : Finding.unknown(
            MODEL_AVAILABLE,
            "Loading",
            "No pod of the current specification has loaded the model yet%s."
                .formatted(meanwhile()));
  }

  Finding storage() {
    if (volumeBytes == 0) {
      return Finding.holds(STORAGE_BOUND, "NotNeeded", "No NVMe tier is asked for.");
    }
    if (request.replicas() == 0) {
      return Finding.holds(STORAGE_BOUND, SCALED_TO_ZERO, "No pod needs a volume.");
    }
    List<Finding> problems = claims.stream().flatMap(claim -> problem(claim).stream()).toList();
    Optional<Finding> cause =
        problems.stream().filter(p -> p.truth() == Finding.Truth.FALSE).findFirst();
    if (cause.isPresent()) {
      return cause.get();
    }
    Optional<PodTrouble> here = trouble(Kind.STORAGE).or(this::disk);
    if (here.isPresent()) {
      return finding(STORAGE_BOUND, here.get());
    }
    if (!problems.isEmpty()) {
      return problems.getFirst();
    }
    if (claims.size() < request.replicas()) {
      Optional<PersistentVolumeClaim> deleted =
          observed.claims().stream().filter(this::isDeletedInUse).findFirst();
      if (deleted.isPresent()) {
        return Finding.waiting(
            STORAGE_BOUND,
            "VolumeDeleted",
            "Somebody has deleted claim %s, which its pod still uses: the volume goes when the pod does, and its successor gets an empty one. To have that now, delete the pod."
                .formatted(deleted.get().getMetadata().getName()));
      }
      String claimed =
          "%d of %d volumes have been claimed.".formatted(claims.size(), request.replicas());
      return podsRejected().isPresent()
          ? Finding.unknown(STORAGE_BOUND, WAITS_FOR_POD, claimed)
          : Finding.waiting(STORAGE_BOUND, "VolumePending", claimed);
    }
    return Finding.holds(
        STORAGE_BOUND,
        "Bound",
        (claims.size() == 1
                ? "The volume of %s is bound.".formatted(ByteSize.human(volumeBytes))
                : "%d volumes of %s are bound."
                    .formatted(claims.size(), ByteSize.human(volumeBytes)))
            + keptClass()
            + spare());
  }

  /** A retained volume stays in the class it was made in, whatever a later specification says. */
  private String keptClass() {
    String wanted = request.storageClassName();
    if (!request.retainsVolume() || wanted == null) {
      return "";
    }
    return claims.stream()
        .map(Findings::classOf)
        .filter(name -> name != null && !name.equals(wanted))
        .findFirst()
        .map(
            kept ->
                " Retained volumes keep storage class %s; a new deployment would get %s."
                    .formatted(kept, wanted))
        .orElse("");
  }

  private String spare() {
    long spare =
        observed.claims().stream()
            .filter(claim -> !isLeaving(claim) && isSpare(request, claim))
            .count();
    return spare == 0
        ? ""
        : " %d more kept for when there are more replicas again.".formatted(spare);
  }

  /** Whether a retained claim belongs to a replica that is no longer asked for. */
  private static boolean isSpare(Request request, PersistentVolumeClaim claim) {
    OptionalInt ordinal = DesiredObjects.ordinal(request.name(), claim.getMetadata().getName());
    return request.retainsVolume()
        && ordinal.isPresent()
        && ordinal.getAsInt() >= request.replicas();
  }

  private static boolean isLeaving(PersistentVolumeClaim claim) {
    return claim.getMetadata().getDeletionTimestamp() != null;
  }

  private boolean isDeletedInUse(PersistentVolumeClaim claim) {
    return isLeaving(claim)
        && observed.pods().stream().anyMatch(pod -> uses(pod, claim.getMetadata().getName()));
  }

  private static @Nullable String classOf(PersistentVolumeClaim claim) {
    return claim.getSpec() == null ? null : claim.getSpec().getStorageClassName();
  }

  /** Why pods cannot be created, if so. */
  private Optional<String> podsRejected() {
    return observed.workload().flatMap(workload -> Optional.ofNullable(workload.podsRejected()));
  }

  /**
   * What is said of the pods while a changed specification waits for them.
   *
   * @param until when it waits no longer
   */
  static Finding held(String type, Instant until) {
    String message =
        "The changed specification waits until no request runs or waits in the pods, at the latest until %s (runtime.idleTimeoutSeconds). To have it at once: runtime.rollout: InPlace."
            .formatted(until.truncatedTo(ChronoUnit.SECONDS));
    return type.equals(RUNTIME_READY)
        ? Finding.waiting(type, WAITS_FOR_IDLE, message)
        : Finding.holds(type, WAITS_FOR_IDLE, message);
  }

  Finding runtime() {
    int wanted = request.replicas();
    Workload workload = observed.workload().orElse(Workload.NONE);
    if (wanted == 0) {
      return workload.pods() == 0
          ? Finding.holds(RUNTIME_READY, SCALED_TO_ZERO, "No replicas are asked for.")
          : Finding.waiting(
              RUNTIME_READY,
              "RollingOut",
              "No replicas are asked for; %d are still there.".formatted(workload.pods()));
    }
    if (workload.complete(wanted)) {
      return Finding.holds(
          RUNTIME_READY, "PodsReady", "%d of %d pods serve.".formatted(wanted, wanted));
    }
    if (workload.paused()) {
      return Finding.stuck(
          RUNTIME_READY,
          "Paused",
          "Somebody has paused the rollout of Deployment %s: %d of %d pods have the current specification. To go on: kubectl rollout resume deployment/%s --namespace %s"
              .formatted(
                  request.name(),
                  Math.min(workload.updated(), wanted),
                  wanted,
                  request.name(),
                  request.namespace()));
    }
    Optional<String> rejected = podsRejected();
    if (rejected.isPresent()) {
      return Finding.waiting(RUNTIME_READY, "PodsRejected", rejected.get());
    }
    Optional<PodTrouble> cause = lostCard().or(() -> trouble).or(this::engine).or(this::disk);
    if (cause.isPresent()) {
      return inPodsStead(finding(RUNTIME_READY, cause.get()));
    }
    int updated = Math.min(workload.updated(), wanted);
    // While a new pod starts beside an old one that serves, none may be lacking.
    boolean rolling = workload.ready() > 0 && workload.pods() > workload.updated();
    return rolling
        ? Finding.waiting(
            RUNTIME_READY,
            "RollingOut",
            "%d of %d pods have the current specification; meanwhile %s."
                .formatted(updated, wanted, serving(workload.ready())))
        : Finding.waiting(
            RUNTIME_READY,
            "Starting",
            "%d of %d pods have been started; %s so far."
                .formatted(updated, wanted, serving(workload.ready())));
  }

  /** What serves while the pods of the current specification do not; empty if nothing does. */
  private String meanwhile() {
    int ready = observed.workload().map(Workload::ready).orElse(0);
    return ready == 0 ? "" : "; meanwhile " + serving(ready);
  }

  private static String serving(int pods) {
    return switch (pods) {
      case 0 -> "none serves";
      case 1 -> "1 pod serves";
      default -> "%d pods serve".formatted(pods);
    };
  }

  private Optional<Finding> problem(PersistentVolumeClaim claim) {
    String name = claim.getMetadata().getName();
    String phase = claim.getStatus() == null ? null : claim.getStatus().getPhase();
    if ("Bound".equals(phase)) {
      Quantity capacity =
          claim.getStatus().getCapacity() == null
              ? null
              : claim.getStatus().getCapacity().get("storage");
      return tooSmall(name, capacity);
    }
    if ("Lost".equals(phase)) {
      return Optional.of(
          Finding.stuck(
              STORAGE_BOUND, "VolumeLost", "The volume of claim %s is gone.".formatted(name)));
    }
    if (waitsForPod(claim)) {
      return Optional.of(
          Finding.unknown(
              STORAGE_BOUND,
              WAITS_FOR_POD,
              "Claim %s gets its volume of %s when its pod is there and has a node."
                  .formatted(name, ByteSize.human(volumeBytes))));
    }
    Recorded warning = warning(claim).orElse(null);
    if (warning == null) {
      return Optional.of(
          trouble(Kind.STORAGE)
              .map(t -> finding(STORAGE_BOUND, t))
              .orElseGet(
                  () ->
                      Finding.waiting(
                          STORAGE_BOUND,
                          "VolumePending",
                          "Claim %s waits for a volume of %s in %s."
                              .formatted(name, ByteSize.human(volumeBytes), storageClass(claim)))));
    }
    String message =
        "Claim %s for %s in %s: %s"
            .formatted(name, ByteSize.human(volumeBytes), storageClass(claim), warning.message());
    boolean missing =
        warning.message().contains("storageclass") && warning.message().contains("not found");
    return Optional.of(
        missing
            ? Finding.stuck(STORAGE_BOUND, "StorageClassNotFound", message)
            : Finding.waiting(STORAGE_BOUND, warning.reason(), message));
  }

  /**
   * Whether a claim that is not bound waits for its pod, and the pod for something else: then the
   * claim is no cause, and what was said of it before is no longer so.
   */
  private boolean waitsForPod(PersistentVolumeClaim claim) {
    // The claim of a StatefulSet's pod is made before the pod, and so before the pod is rejected.
    if (podsRejected().isPresent()
        && observed.pods().stream().noneMatch(pod -> uses(pod, claim.getMetadata().getName()))) {
      return true;
    }
    return observed.pods().stream()
        .filter(pod -> uses(pod, claim.getMetadata().getName()))
        .flatMap(pod -> PodTrouble.of(pod, observed.recordedOf(pod)).stream())
        .map(this::attributed)
        .anyMatch(t -> t.kind() != Kind.STORAGE);
  }

  private static boolean uses(Pod pod, String claim) {
    return pod.getSpec() != null
        && pod.getSpec().getVolumes().stream()
            .map(volume -> claimOf(pod, volume))
            .anyMatch(claim::equals);
  }

  private static @Nullable String claimOf(Pod pod, Volume volume) {
    if (volume.getPersistentVolumeClaim() != null) {
      return volume.getPersistentVolumeClaim().getClaimName();
    }
    return volume.getEphemeral() == null
        ? null
        : pod.getMetadata().getName() + "-" + volume.getName();
  }

  /**
   * The latest failure to provide a claim's volume. A provisioner that tries again says so again;
   * one that has been silent since the claim began to wait anew is over it.
   */
  private Optional<Recorded> warning(PersistentVolumeClaim claim) {
    List<Recorded> recorded = observed.recordedOf(claim);
    Instant begun =
        Recorded.latest(recorded, r -> BEGUN_ANEW.contains(r.reason()))
            .map(Recorded::at)
            .orElse(Instant.MIN);
    return Recorded.latest(recorded, Recorded::warning)
        .filter(r -> !r.at().plus(LONGEST_RETRY).isBefore(begun));
  }

  private Optional<Finding> tooSmall(String claim, @Nullable Quantity capacity) {
    if (capacity == null || Quantities.bytes("capacity", capacity) >= volumeBytes) {
      return Optional.empty();
    }
    return Optional.of(
        Finding.stuck(
            STORAGE_BOUND,
            "VolumeTooSmall",
            "The volume of claim %s has %s, the plan needs %s."
                .formatted(claim, capacity, ByteSize.human(volumeBytes))));
  }

  private String storageClass(PersistentVolumeClaim claim) {
    String name = classOf(claim);
    if (name == null) {
      name = request.storageClassName();
    }
    return name == null ? "the cluster's default storage class" : "storage class " + name;
  }

  /**
   * What the runtimes say of disks that fail them. A pod probes its disk and recovers by itself.
   */
  private Optional<PodTrouble> disk() {
    return observed.usage().failingNvme().entrySet().stream()
        .min(Map.Entry.comparingByKey())
        .map(
            e ->
                new PodTrouble(
                    "NvmeFailing",
                    "The NVMe volume of pod %s fails: %s".formatted(e.getKey(), e.getValue()),
                    Kind.STORAGE,
                    false));
  }

  /** What the runtimes say that have written too much in a day for their longest requests. */
  static Optional<Finding> spentWrites(Observation observed) {
    return observed.usage().spentWrites().entrySet().stream()
        .min(Map.Entry.comparingByKey())
        .map(
            e ->
                Finding.holds(
                    WRITES_SPENT, "DailyLimit", "Pod %s: %s".formatted(e.getKey(), e.getValue())));
  }

  /** What the runtimes say of engines that have failed: their probe ends the pods soon. */
  private Optional<PodTrouble> engine() {
    return observed.usage().failedEngines().entrySet().stream()
        .min(Map.Entry.comparingByKey())
        .map(
            e ->
                PodTrouble.named(e.getKey(), e.getValue(), 0)
                    .orElseGet(
                        () ->
                            new PodTrouble(
                                "EngineFailed",
                                "Pod %s: %s".formatted(e.getKey(), e.getValue()),
                                Kind.RUNTIME,
                                false)));
  }

  /** A card that has failed, before what its pod makes of that. */
  private Optional<PodTrouble> lostCard() {
    return Optional.ofNullable(request.pod().gpu())
        .flatMap(gpu -> LostCard.of(concerned(), gpu))
        .map(
            lost ->
                new PodTrouble(
                    "GpuFailed",
                    lost.words(request.namespace())
                        + trouble.or(this::engine).map(t -> " " + t.message()).orElse(""),
                    Kind.RUNTIME,
                    false));
  }

  /** Whether the scheduler found no GPU, in its words. */
  private static boolean lacksGpu(String message, GpuRequest gpu) {
    return gpu.claimTemplate() == null
        ? message.matches("(?s).*Insufficient " + Pattern.quote(gpu.resourceName()) + "\\b.*")
        : message.contains("cannot allocate all claims");
  }

  private String noGpuFree(GpuRequest gpu) {
    boolean surge =
        request.pod().maxSurge() > 0 && observed.workload().map(Workload::ready).orElse(0) > 0;
    return " No node that InferenceClass %s selects has %s left: end what holds it, add a node, or have the class select others%s."
        .formatted(
            request.className(),
            gpu.words(),
            surge
                ? ". A pod that replaces another in place needs none more: runtime.rollout: InPlace"
                : "");
  }

  /**
   * Turns a trouble to the model where its words are about it: the runtime's errors begin with the
   * model's uri or path, and the scheduler names a claim that is not there.
   */
  private PodTrouble attributed(PodTrouble found) {
    if (found.reason().equals(PodTrouble.RUNTIME_FAILED)
        && (found.message().contains(request.model().uri())
            || found.message().contains(MODEL_FOLDER))) {
      return new PodTrouble("ModelUnavailable", found.message(), Kind.MODEL, found.lasting());
    }
    Optional<PodTrouble> ofImage =
        request.modelImage().flatMap(image -> ofModelImage(found, image));
    if (ofImage.isPresent()) {
      return ofImage.get();
    }
    GpuRequest gpu = request.pod().gpu();
    if (gpu != null
        && found.reason().equals(PodTrouble.UNSCHEDULABLE)
        && lacksGpu(found.message(), gpu)) {
      return new PodTrouble(
          "NoGpuFree", found.message() + noGpuFree(gpu), Kind.RUNTIME, found.lasting());
    }
    if (found.kind() == Kind.RUNTIME
        && claims.stream().anyMatch(claim -> namesVolumeOf(claim, found.message()))) {
      return new PodTrouble(found.reason(), found.message(), Kind.STORAGE, found.lasting());
    }
    boolean namesModelClaim =
        Stream.of(request.modelClaim(), Optional.ofNullable(request.model().cacheClaimName()))
            .flatMap(Optional::stream)
            .anyMatch(claim -> found.message().contains("\"" + claim + "\""));
    return found.kind() == Kind.STORAGE && namesModelClaim
        ? new PodTrouble("ModelClaimUnavailable", found.message(), Kind.MODEL, found.lasting())
        : found;
  }

  /** What a trouble says of the image with the model, if it does. */
  private static Optional<PodTrouble> ofModelImage(PodTrouble found, String image) {
    if (MODEL_NOT_PROCESSED.matcher(found.message()).find()) {
      return Optional.of(
          new PodTrouble(
              IMAGE_VOLUMES_UNSUPPORTED,
              "%s (The kubelet of its node does not mount images. %s)"
                  .formatted(found.message(), IMAGE_VOLUMES_WAY_OUT),
              Kind.MODEL,
              found.lasting()));
    }
    boolean pulls = PodTrouble.PULLS.contains(found.reason()) && names(found.message(), image);
    return pulls || found.message().contains(IMAGE_NOT_MOUNTED)
        ? Optional.of(
            new PodTrouble(
                "ModelImageUnavailable",
                "%s (The model is in image %s. %s)"
                    .formatted(found.message(), image, PullFailure.wayOut(found.message(), image)),
                Kind.MODEL,
                found.lasting()))
        : Optional.empty();
  }

  /** Whether a message has the name of an image, and not only the beginning of another's. */
  private static boolean names(String message, String image) {
    return Pattern.compile(Pattern.quote(image) + "(:latest)?(?![\\w/@-]|[.:]\\w)")
        .matcher(message)
        .find();
  }

  /** The kubelet and the attacher name the volume that a claim is bound to. */
  private static boolean namesVolumeOf(PersistentVolumeClaim claim, String message) {
    return claim.getSpec() != null
        && claim.getSpec().getVolumeName() != null
        && message.contains("volume \"" + claim.getSpec().getVolumeName() + "\"");
  }

  private Optional<PodTrouble> trouble(Kind kind) {
    return trouble.filter(t -> t.kind() == kind);
  }

  /** A trouble of some pods, with what the others do. */
  private Finding inPodsStead(Finding trouble) {
    String meanwhile = meanwhile();
    return meanwhile.isEmpty() ? trouble : trouble.with(" (" + meanwhile.substring(2) + ")");
  }

  private static Finding finding(String type, PodTrouble trouble) {
    return trouble.lasting()
        ? Finding.stuck(type, trouble.reason(), trouble.message())
        : Finding.waiting(type, trouble.reason(), trouble.message());
  }
}

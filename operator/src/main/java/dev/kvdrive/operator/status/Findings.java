package dev.kvdrive.operator.status;

import static dev.kvdrive.operator.status.ConditionTypes.MODEL_AVAILABLE;
import static dev.kvdrive.operator.status.ConditionTypes.RUNTIME_READY;
import static dev.kvdrive.operator.status.ConditionTypes.STORAGE_BOUND;

import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Quantities;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.operator.status.Observation.Warning;
import dev.kvdrive.operator.status.Observation.Workload;
import dev.kvdrive.operator.status.PodTrouble.Kind;
import dev.kvdrive.plan.ByteSize;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** What the cluster says about a feasible deployment, condition by condition. */
final class Findings {
  private static final String MODEL_FOLDER = "/var/lib/kvdrive/model";

  private final Request request;
  private final long volumeBytes;
  private final Observation observed;
  private final Optional<PodTrouble> trouble;

  Findings(Feasible feasible, Observation observed) {
    this.request = feasible.request();
    this.volumeBytes = feasible.plan().requirePod().volumeBytes();
    this.observed = observed;
    this.trouble = PodTrouble.of(observed.pods()).map(this::attributed);
  }

  Finding model() {
    Optional<PodTrouble> here = trouble(Kind.MODEL);
    if (here.isPresent()) {
      return finding(MODEL_AVAILABLE, here.get());
    }
    if (request.model().uri().startsWith("builtin:")) {
      return Finding.holds(MODEL_AVAILABLE, "Bundled", "The model is part of the runtime image.");
    }
    if (observed.workload().map(Workload::ready).orElse(0) > 0) {
      return Finding.holds(MODEL_AVAILABLE, "Loaded", "A pod has loaded the model.");
    }
    if (request.replicas() == 0) {
      return Finding.holds(MODEL_AVAILABLE, "ScaledToZero", "No pod needs the model.");
    }
    return Finding.unknown(MODEL_AVAILABLE, "Loading", "No pod has loaded the model yet.");
  }

  Finding storage() {
    if (volumeBytes == 0) {
      return Finding.holds(STORAGE_BOUND, "NotNeeded", "No NVMe tier is asked for.");
    }
    if (request.replicas() == 0) {
      return Finding.holds(STORAGE_BOUND, "ScaledToZero", "No pod needs a volume.");
    }
    for (PersistentVolumeClaim claim : observed.claims()) {
      Optional<Finding> problem = problem(claim);
      if (problem.isPresent()) {
        return problem.get();
      }
    }
    Optional<PodTrouble> here = trouble(Kind.STORAGE);
    if (here.isPresent()) {
      return finding(STORAGE_BOUND, here.get());
    }
    if (observed.claims().size() < request.replicas()) {
      return Finding.waiting(
          STORAGE_BOUND,
          "VolumePending",
          "%d of %d volumes have been claimed."
              .formatted(observed.claims().size(), request.replicas()));
    }
    return Finding.holds(
        STORAGE_BOUND,
        "Bound",
        observed.claims().size() == 1
            ? "The volume of %s is bound.".formatted(ByteSize.human(volumeBytes))
            : "%d volumes of %s are bound."
                .formatted(observed.claims().size(), ByteSize.human(volumeBytes)));
  }

  Finding runtime() {
    int wanted = request.replicas();
    Workload workload = observed.workload().orElse(new Workload(0, 0, 0, false, null));
    if (workload.complete(wanted)) {
      return wanted == 0
          ? Finding.holds(RUNTIME_READY, "ScaledToZero", "No replicas are asked for.")
          : Finding.holds(
              RUNTIME_READY, "PodsReady", "%d of %d pods serve.".formatted(wanted, wanted));
    }
    if (workload.podsRejected() != null) {
      return Finding.waiting(RUNTIME_READY, "PodsRejected", workload.podsRejected());
    }
    if (trouble.isPresent()) {
      return finding(RUNTIME_READY, trouble.get());
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
    Warning warning = observed.claimWarnings().get(name);
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
                              .formatted(name, ByteSize.human(volumeBytes), storageClass()))));
    }
    String message =
        "Claim %s for %s in %s: %s"
            .formatted(name, ByteSize.human(volumeBytes), storageClass(), warning.message());
    boolean missing =
        warning.message().contains("storageclass") && warning.message().contains("not found");
    return Optional.of(
        missing
            ? Finding.stuck(STORAGE_BOUND, "StorageClassNotFound", message)
            : Finding.waiting(STORAGE_BOUND, warning.reason(), message));
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

  private String storageClass() {
    return request.storageClassName() == null
        ? "the cluster's default storage class"
        : "storage class " + request.storageClassName();
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
    boolean namesModelClaim =
        Stream.of(request.modelClaim(), Optional.ofNullable(request.model().cacheClaimName()))
            .flatMap(Optional::stream)
            .anyMatch(claim -> found.message().contains("\"" + claim + "\""));
    return found.kind() == Kind.STORAGE && namesModelClaim
        ? new PodTrouble("ModelClaimUnavailable", found.message(), Kind.MODEL, found.lasting())
        : found;
  }

  private Optional<PodTrouble> trouble(Kind kind) {
    return trouble.filter(t -> t.kind() == kind);
  }

  private static Finding finding(String type, PodTrouble trouble) {
    return trouble.lasting()
        ? Finding.stuck(type, trouble.reason(), trouble.message())
        : Finding.waiting(type, trouble.reason(), trouble.message());
  }
}

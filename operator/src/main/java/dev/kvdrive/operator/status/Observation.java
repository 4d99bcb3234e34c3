package dev.kvdrive.operator.status;

import dev.kvdrive.observed.usage.TierUsage;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the cluster shows of one deployment.
 *
 * @param workload its Deployment or StatefulSet, if there is one
 * @param pods its pods
 * @param claims its NVMe claims, those that are being deleted included
 * @param recorded what Kubernetes recorded about those of them that are not as they should be, by
 *     {@link #key}
 * @param usage what the pods say about their tiers
 * @param route what Gateways say
 */
public record Observation(
    Optional<Workload> workload,
    List<Pod> pods,
    List<PersistentVolumeClaim> claims,
    Map<String, List<Recorded>> recorded,
    TierUsage usage,
    RouteView route) {

  /** Nothing exists. */
  public static final Observation NOTHING =
      new Observation(Optional.empty(), List.of(), List.of(), Map.of(), TierUsage.UNKNOWN);

  /** Of a deployment without a route. */
  public Observation(
      Optional<Workload> workload,
      List<Pod> pods,
      List<PersistentVolumeClaim> claims,
      Map<String, List<Recorded>> recorded,
      TierUsage usage) {
    this(workload, pods, claims, recorded, usage, RouteView.NOTHING);
  }

  public Observation {
    pods = pods.stream().filter(pod -> pod.getMetadata().getDeletionTimestamp() == null).toList();
    claims = List.copyOf(claims);
    recorded = Map.copyOf(recorded);
  }

  /** Under which {@code object} is found in {@link #recorded}. */
  public static String key(HasMetadata object) {
    return object.getKind() + "/" + object.getMetadata().getName();
  }

  /** What was recorded about {@code object}, as far as it was looked up. */
  List<Recorded> recordedOf(HasMetadata object) {
    return recorded.getOrDefault(key(object), List.of());
  }

  /**
   * Progress of a Deployment or StatefulSet.
   *
   * @param pods that exist
   * @param ready that serve
   * @param updated that have the current template
   * @param current whether these numbers speak of the current template
   * @param podsRejected why pods cannot be created, if so
   * @param paused whether somebody has stopped the rollout of a Deployment
   * @param template of its pods as the API server keeps it, as far as it is known
   */
  public record Workload(
      int pods,
      int ready,
      int updated,
      boolean current,
      @Nullable String podsRejected,
      boolean paused,
      @Nullable PodTemplateSpec template) {

    /** There is none, or its controller has not looked at it yet. */
    static final Workload NONE = new Workload(0, 0, 0, false, null, false, null);

    /** Of a workload that nobody has paused. */
    public Workload(
        int pods, int ready, int updated, boolean current, @Nullable String podsRejected) {
      this(pods, ready, updated, current, podsRejected, false, null);
    }

    /** Whether {@code wanted} pods of the current template serve, and no others are left. */
    public boolean complete(int wanted) {
      return current && pods == wanted && updated == wanted && ready == wanted;
    }

    public static Workload of(Deployment deployment) {
      var status = deployment.getStatus();
      boolean paused = Boolean.TRUE.equals(deployment.getSpec().getPaused());
      if (status == null) {
        return new Workload(0, 0, 0, false, null, paused, deployment.getSpec().getTemplate());
      }
      String rejected =
          status.getConditions().stream()
              .filter(c -> c.getType().equals("ReplicaFailure") && c.getStatus().equals("True"))
              .map(c -> Objects.requireNonNullElse(c.getMessage(), "pods cannot be created"))
              .findFirst()
              .orElse(null);
      return new Workload(
          count(status.getReplicas()),
          count(status.getReadyReplicas()),
          count(status.getUpdatedReplicas()),
          current(deployment.getMetadata().getGeneration(), status.getObservedGeneration()),
          rejected,
          paused,
          deployment.getSpec().getTemplate());
    }

    /**
     * Unlike a Deployment, a StatefulSet has no condition that says why pods cannot be created.
     *
     * @param recorded about the set
     */
    public static Workload of(StatefulSet set, List<Recorded> recorded) {
      var status = set.getStatus();
      if (status == null) {
        return new Workload(0, 0, 0, false, null, false, set.getSpec().getTemplate());
      }
      return new Workload(
          count(status.getReplicas()),
          count(status.getReadyReplicas()),
          count(status.getUpdatedReplicas()),
          current(set.getMetadata().getGeneration(), status.getObservedGeneration()),
          lacksPods(set) ? rejected(recorded) : null,
          false,
          set.getSpec().getTemplate());
    }

    /** Whether there are fewer pods than wanted. */
    public static boolean lacksPods(StatefulSet set) {
      return set.getStatus() == null
          || count(set.getStatus().getReplicas()) < count(set.getSpec().getReplicas());
    }

    private static @Nullable String rejected(List<Recorded> recorded) {
      return Recorded.latest(
              recorded,
              r -> r.reason().equals("FailedCreate") || r.reason().equals("SuccessfulCreate"))
          .filter(Recorded::warning)
          .map(Recorded::message)
          .orElse(null);
    }

    private static int count(@Nullable Integer replicas) {
      return replicas == null ? 0 : replicas;
    }

    private static boolean current(@Nullable Long generation, @Nullable Long observed) {
      return generation != null && observed != null && observed >= generation;
    }
  }
}

package dev.kvdrive.operator.status;

import dev.kvdrive.operator.usage.TierUsage;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
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
 * @param claims its NVMe claims
 * @param claimWarnings latest warning of claims that are not bound, by claim name
 * @param usage what the pods say about their tiers
 */
public record Observation(
    Optional<Workload> workload,
    List<Pod> pods,
    List<PersistentVolumeClaim> claims,
    Map<String, Warning> claimWarnings,
    TierUsage usage) {

  /** Nothing exists. */
  public static final Observation NOTHING =
      new Observation(Optional.empty(), List.of(), List.of(), Map.of(), TierUsage.UNKNOWN);

  public Observation {
    pods = pods.stream().filter(pod -> pod.getMetadata().getDeletionTimestamp() == null).toList();
    claims = claims.stream().filter(c -> c.getMetadata().getDeletionTimestamp() == null).toList();
    claimWarnings = Map.copyOf(claimWarnings);
  }

  /**
   * A warning that Kubernetes recorded.
   *
   * @param reason CamelCase
   * @param message for people
   */
  public record Warning(String reason, String message) {}

  /**
   * Progress of a Deployment or StatefulSet.
   *
   * @param pods that exist
   * @param ready that serve
   * @param updated that have the current template
   * @param current whether these numbers speak of the current template
   * @param podsRejected why pods cannot be created, if so
   */
  public record Workload(
      int pods, int ready, int updated, boolean current, @Nullable String podsRejected) {

    /** Whether {@code wanted} pods of the current template serve, and no others are left. */
    public boolean complete(int wanted) {
      return current && pods == wanted && updated == wanted && ready == wanted;
    }

    public static Workload of(Deployment deployment) {
      var status = deployment.getStatus();
      if (status == null) {
        return new Workload(0, 0, 0, false, null);
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
          rejected);
    }

    public static Workload of(StatefulSet set) {
      var status = set.getStatus();
      if (status == null) {
        return new Workload(0, 0, 0, false, null);
      }
      return new Workload(
          count(status.getReplicas()),
          count(status.getReadyReplicas()),
          count(status.getUpdatedReplicas()),
          current(set.getMetadata().getGeneration(), status.getObservedGeneration()),
          null);
    }

    private static int count(@Nullable Integer replicas) {
      return replicas == null ? 0 : replicas;
    }

    private static boolean current(@Nullable Long generation, @Nullable Long observed) {
      return generation != null && observed != null && observed >= generation;
    }
  }
}

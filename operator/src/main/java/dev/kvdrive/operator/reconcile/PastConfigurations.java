package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.status.FailureWords;
import dev.kvdrive.operator.status.Observation;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The configurations of earlier specifications. Each stays for as long as a pod may start with it:
 * while a rollout is under way the pods of the specification before it may have to be made anew.
 */
final class PastConfigurations {
  /** Most configurations that no pod uses and that are kept while a rollout is under way. */
  static final int HISTORY = 10;

  private static final Logger log = LoggerFactory.getLogger(PastConfigurations.class);

  /** Times are of whole seconds; names only make the order total. */
  private static final Comparator<ConfigMap> BY_AGE =
      Comparator.comparing(
              (ConfigMap c) ->
                  Objects.requireNonNullElse(c.getMetadata().getCreationTimestamp(), ""))
          .thenComparing(c -> c.getMetadata().getName());

  private PastConfigurations() {}

  /** Deletes what no pod can need any more. One that stays is tried again; it stops nothing. */
  static void collect(Observation observed, Context<InferenceDeployment> context) {
    DesiredObjects desired = Dependents.desired(context);
    int wanted = desired.request().replicas();
    List<ConfigMap> past =
        dispensable(
            context.getSecondaryResources(ConfigMap.class),
            desired.configName(),
            mounted(context.getSecondaryResources(Pod.class)),
            observed
                .workload()
                .map(workload -> workload.complete(wanted) && !workload.paused())
                .orElse(false));
    for (ConfigMap configuration : past) {
      try {
        context.getClient().resource(configuration).delete();
      } catch (KubernetesClientException e) {
        log.warn(
            "ConfigMap {}/{} of an earlier specification stays: {}",
            configuration.getMetadata().getNamespace(),
            configuration.getMetadata().getName(),
            FailureWords.of(e));
      }
    }
  }

  /**
   * Those of {@code own} that may go.
   *
   * @param own the configurations of one deployment
   * @param current name of the one that its specification asks for
   * @param mounted names of those that pods use
   * @param complete whether only pods of the current specification are left, and all serve, and
   *     none of an earlier one can come: while a rollout is paused, new pods are of the one before
   */
  static List<ConfigMap> dispensable(
      Collection<ConfigMap> own, String current, Set<String> mounted, boolean complete) {
    List<ConfigMap> unused =
        own.stream()
            .filter(c -> !c.getMetadata().getName().equals(current))
            .filter(c -> !mounted.contains(c.getMetadata().getName()))
            .sorted(BY_AGE)
            .toList();
    if (complete) {
      return unused;
    }
    // The oldest is what served before the rollout began: when that had completed, the rest went.
    return unused.size() <= HISTORY ? List.of() : unused.subList(1, unused.size() - (HISTORY - 1));
  }

  /** What pods that can still start a container have as a volume, the leaving ones included. */
  static Set<String> mounted(Collection<Pod> pods) {
    return pods.stream()
        .filter(pod -> !hasEnded(pod))
        .filter(pod -> pod.getSpec() != null)
        .flatMap(pod -> pod.getSpec().getVolumes().stream())
        .filter(volume -> volume.getConfigMap() != null)
        .map(volume -> volume.getConfigMap().getName())
        .collect(Collectors.toSet());
  }

  private static boolean hasEnded(Pod pod) {
    return pod.getStatus() != null
        && ("Failed".equals(pod.getStatus().getPhase())
            || "Succeeded".equals(pod.getStatus().getPhase()));
  }
}

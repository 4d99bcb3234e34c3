package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.status.Observation;
import dev.kvdrive.operator.status.Observation.Warning;
import dev.kvdrive.operator.status.Observation.Workload;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * Reads what there is: from the caches, for claims that are not bound from the events, and from the
 * pods' own metrics.
 */
final class ClusterView {
  /** Events that only say that something is under way. */
  private static final Set<String> UNDER_WAY =
      Set.of(
          "WaitForFirstConsumer",
          "WaitForPodScheduled",
          "ExternalProvisioning",
          "Provisioning",
          "ProvisioningSucceeded");

  private final TierMeter meter;

  ClusterView(TierMeter meter) {
    this.meter = meter;
  }

  Observation observe(Context<InferenceDeployment> context) {
    Optional<Workload> workload =
        context
            .getSecondaryResource(Deployment.class)
            .map(Workload::of)
            .or(() -> context.getSecondaryResource(StatefulSet.class).map(Workload::of));
    List<Pod> pods = List.copyOf(context.getSecondaryResources(Pod.class));
    List<PersistentVolumeClaim> claims =
        context
            .getSecondaryResourcesAsStream(PersistentVolumeClaim.class)
            .sorted(Comparator.comparing(claim -> claim.getMetadata().getName()))
            .toList();
    return new Observation(
        workload, pods, claims, warnings(claims, context.getClient()), meter.read(pods));
  }

  private static Map<String, Warning> warnings(
      List<PersistentVolumeClaim> claims, KubernetesClient client) {
    Map<String, Warning> warnings = new HashMap<>();
    for (PersistentVolumeClaim claim : claims) {
      if (claim.getStatus() == null || !"Bound".equals(claim.getStatus().getPhase())) {
        latest(claim, client)
            .ifPresent(
                event ->
                    warnings.put(
                        claim.getMetadata().getName(),
                        new Warning(event.getReason(), event.getMessage())));
      }
    }
    return warnings;
  }

  private static Optional<Event> latest(PersistentVolumeClaim claim, KubernetesClient client) {
    return client
        .v1()
        .events()
        .inNamespace(claim.getMetadata().getNamespace())
        .withField("involvedObject.name", claim.getMetadata().getName())
        .withField("involvedObject.kind", "PersistentVolumeClaim")
        .list()
        .getItems()
        .stream()
        .filter(event -> event.getReason() != null && event.getMessage() != null)
        .filter(event -> !UNDER_WAY.contains(event.getReason()))
        .max(
            Comparator.comparing(
                event -> Objects.requireNonNullElse(event.getLastTimestamp(), "")));
  }
}

package dev.kvdrive.operator.reconcile;

import static dev.kvdrive.operator.status.Observation.key;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.desired.InferencePool;
import dev.kvdrive.operator.status.Observation;
import dev.kvdrive.operator.status.Observation.Workload;
import dev.kvdrive.operator.status.Pods;
import dev.kvdrive.operator.status.Recorded;
import dev.kvdrive.operator.status.RouteView;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ListOptionsBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Reads what there is: from the caches; the events of what is not as it should be; and the pods'
 * own metrics.
 */
final class ClusterView {
  /** Most objects of a kind, the newest, whose events are looked up. */
  private static final int MOST_OBJECTS = 4;

  /** Most events of an object that are read: repetitions are one event. */
  private static final long MOST_EVENTS = 200;

  private final TierMeter meter;

  ClusterView(TierMeter meter) {
    this.meter = meter;
  }

  Observation observe(Context<InferenceDeployment> context) {
    List<Pod> pods = List.copyOf(context.getSecondaryResources(Pod.class));
    List<PersistentVolumeClaim> claims =
        context
            .getSecondaryResourcesAsStream(PersistentVolumeClaim.class)
            .sorted(Comparator.comparing(claim -> claim.getMetadata().getName()))
            .toList();
    Optional<StatefulSet> set = context.getSecondaryResource(StatefulSet.class);
    Map<String, List<Recorded>> recorded =
        recorded(
            Stream.of(
                set.filter(Workload::lacksPods).stream(),
                newest(pods, pod -> !Pods.isReady(pod)),
                newest(claims, claim -> !isBound(claim))),
            context.getClient());
    Optional<Workload> workload =
        context
            .getSecondaryResource(Deployment.class)
            .map(Workload::of)
            .or(() -> set.map(s -> Workload.of(s, recorded.getOrDefault(key(s), List.of()))));
    return new Observation(
        workload,
        pods,
        claims,
        recorded,
        meter.read(pods),
        new RouteView(
            Dependents.served(context),
            context.getSecondaryResourcesAsStream(HTTPRoute.class).findFirst(),
            context.getSecondaryResourcesAsStream(InferencePool.class).findFirst()));
  }

  private static <T extends HasMetadata> Stream<T> newest(List<T> objects, Predicate<T> troubled) {
    return objects.stream()
        .filter(object -> object.getMetadata().getDeletionTimestamp() == null)
        .filter(troubled)
        .sorted(
            Comparator.comparing(
                    (T object) ->
                        Objects.requireNonNullElse(object.getMetadata().getCreationTimestamp(), ""))
                .reversed())
        .limit(MOST_OBJECTS);
  }

  private static boolean isBound(PersistentVolumeClaim claim) {
    return claim.getStatus() != null && "Bound".equals(claim.getStatus().getPhase());
  }

  private static Map<String, List<Recorded>> recorded(
      Stream<? extends Stream<? extends HasMetadata>> objects, KubernetesClient client) {
    return objects
        .flatMap(stream -> stream)
        .collect(Collectors.toMap(Observation::key, object -> recorded(object, client)));
  }

  private static List<Recorded> recorded(HasMetadata object, KubernetesClient client) {
    return client
        .v1()
        .events()
        .inNamespace(object.getMetadata().getNamespace())
        .withField("involvedObject.uid", object.getMetadata().getUid())
        .list(new ListOptionsBuilder().withLimit(MOST_EVENTS).build())
        .getItems()
        .stream()
        .flatMap(event -> Recorded.of(event).stream())
        .toList();
  }
}

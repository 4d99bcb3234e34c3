package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.Usage;
import dev.kvdrive.observed.Running;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.javaoperatorsdk.operator.api.reconciler.Constants;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.health.InformerHealthIndicator;
import io.javaoperatorsdk.operator.health.InformerWrappingEventSourceHealthIndicator;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Whether what the caches show is all there is. The operator starts although something cannot be
 * read, or has not been yet; of that nothing may be concluded.
 */
final class Caches {
  private static final List<Class<? extends HasMetadata>> KINDS =
      List.of(
          ConfigMap.class,
          ServiceAccount.class,
          Service.class,
          NetworkPolicy.class,
          Deployment.class,
          StatefulSet.class,
          PodDisruptionBudget.class,
          Pod.class,
          PersistentVolumeClaim.class);

  private final Context<InferenceDeployment> context;

  Caches(Context<InferenceDeployment> context) {
    this.context = context;
  }

  /** Whether all deployments of {@code namespace} and all they are made of have been read. */
  boolean haveNamespace(String namespace) {
    return hasSynced(context.eventSourceRetriever().getControllerEventSource(), namespace)
        && KINDS.stream()
            .flatMap(kind -> context.eventSourceRetriever().getEventSourcesFor(kind).stream())
            .allMatch(source -> hasSynced(source, namespace));
  }

  /** Whether the classes have been read. */
  boolean haveClasses() {
    return context.eventSourceRetriever().getEventSourcesFor(InferenceClass.class).stream()
        .allMatch(source -> hasSynced(source, Constants.WATCH_ALL_NAMESPACES));
  }

  /** Whether the nodes with GPUs have been read. */
  boolean haveNodes() {
    return context.eventSourceRetriever().getEventSourcesFor(Node.class).stream()
        .allMatch(source -> hasSynced(source, Constants.WATCH_ALL_NAMESPACES));
  }

  /**
   * What runs of the class of {@code deployment} in its namespace, by name of the deployment it
   * belongs to.
   */
  Map<String, Usage> running(InferenceDeployment deployment) {
    String namespace = deployment.getMetadata().getNamespace();
    List<HasMetadata> workloads = new ArrayList<>(list(Deployment.class, namespace));
    workloads.addAll(list(StatefulSet.class, namespace));
    return Running.of(Assessor.className(deployment), workloads, list(Pod.class, namespace));
  }

  /** The operator's objects of a kind in a namespace. */
  <R extends HasMetadata> List<R> list(Class<R> kind, String namespace) {
    List<R> found = new ArrayList<>();
    for (EventSource<R, InferenceDeployment> source :
        context.eventSourceRetriever().getEventSourcesFor(kind)) {
      if (source instanceof InformerEventSource<R, InferenceDeployment> cache) {
        cache.list(namespace, object -> true).forEach(found::add);
      }
    }
    return found;
  }

  private static boolean hasSynced(EventSource<?, ?> source, String namespace) {
    if (!(source instanceof InformerWrappingEventSourceHealthIndicator<?> watching)) {
      return true;
    }
    Map<String, InformerHealthIndicator> watches = watching.informerHealthIndicators();
    @Nullable InformerHealthIndicator watch =
        watches.getOrDefault(namespace, watches.get(Constants.WATCH_ALL_NAMESPACES));
    return watch != null && watch.hasSynced();
  }
}

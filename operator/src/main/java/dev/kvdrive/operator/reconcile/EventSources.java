package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GpuNode;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.informers.cache.BasicItemStore;
import io.fabric8.kubernetes.client.informers.cache.Cache;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** What, besides the dependents, makes a deployment be looked at again. */
final class EventSources {
  private static final String CLASSES = "inferenceclass";
  private static final String NODES = "node";

  private EventSources() {}

  static List<EventSource<?, InferenceDeployment>> of(
      EventSourceContext<InferenceDeployment> context,
      boolean classesVisible,
      boolean nodesVisible) {
    List<EventSource<?, InferenceDeployment>> sources = new ArrayList<>();
    sources.add(labelled(Pod.class, context));
    sources.add(labelled(PersistentVolumeClaim.class, context));
    if (classesVisible) {
      sources.add(classes(context));
    }
    if (nodesVisible) {
      sources.add(nodes(context));
    }
    return sources;
  }

  /** Objects that Kubernetes' own controllers made from the operator's templates. */
  private static <R extends HasMetadata> EventSource<R, InferenceDeployment> labelled(
      Class<R> type, EventSourceContext<InferenceDeployment> context) {
    return new InformerEventSource<>(
        InformerEventSourceConfiguration.from(type, InferenceDeployment.class)
            .withName(type.getSimpleName().toLowerCase(Locale.ROOT))
            .withLabelSelector(Labels.SELECT_MANAGED)
            .withNamespacesInheritedFromController()
            .withSecondaryToPrimaryMapper(EventSources::deploymentOf)
            .build(),
        context);
  }

  private static Set<ResourceID> deploymentOf(HasMetadata object) {
    Map<String, String> labels = object.getMetadata().getLabels();
    String name = labels == null ? null : labels.get(Labels.INSTANCE);
    return name == null
        ? Set.of()
        : Set.of(new ResourceID(name, object.getMetadata().getNamespace()));
  }

  /** A class concerns every deployment that uses it, and is found by its name. */
  private static EventSource<InferenceClass, InferenceDeployment> classes(
      EventSourceContext<InferenceDeployment> context) {
    return new InformerEventSource<>(
        InformerEventSourceConfiguration.from(InferenceClass.class, InferenceDeployment.class)
            .withName(CLASSES)
            .withWatchAllNamespaces()
            .withSecondaryToPrimaryMapper(
                clazz ->
                    context
                        .getPrimaryCache()
                        .list(d -> uses(d, clazz.getMetadata().getName()))
                        .map(ResourceID::fromResource)
                        .collect(Collectors.toSet()))
            .<InferenceDeployment>withPrimaryToSecondaryMapper(
                deployment ->
                    deployment instanceof UnreadableDeployment
                        ? Set.of()
                        : Set.of(new ResourceID(Assessor.className(deployment))))
            .build(),
        context);
  }

  /**
   * Nodes whose GPUs are labelled. A change of one wakes nobody: every deployment is judged again
   * within a minute, and nodes change all the time.
   */
  private static EventSource<Node, InferenceDeployment> nodes(
      EventSourceContext<InferenceDeployment> context) {
    return new InformerEventSource<>(
        InformerEventSourceConfiguration.from(Node.class, InferenceDeployment.class)
            .withName(NODES)
            .withWatchAllNamespaces()
            .withLabelSelector(GpuNode.PRODUCT)
            .withItemStore(new LabelsOfNodes())
            .withSecondaryToPrimaryMapper(node -> Set.of())
            .build(),
        context);
  }

  /** A node is tens of kilobytes, of which only its labels are looked at. */
  private static final class LabelsOfNodes extends BasicItemStore<Node> {
    LabelsOfNodes() {
      super(Cache::metaNamespaceKeyFunc);
    }

    @Override
    public Node put(String key, Node node) {
      return super.put(
          key,
          new NodeBuilder()
              .withNewMetadata()
              .withName(node.getMetadata().getName())
              .withUid(node.getMetadata().getUid())
              .withResourceVersion(node.getMetadata().getResourceVersion())
              .withLabels(node.getMetadata().getLabels())
              .endMetadata()
              .build());
    }
  }

  /** The nodes with GPUs, from the cache. */
  static List<GpuNode> gpuNodes(Context<InferenceDeployment> context) {
    return context.eventSourceRetriever().<Node>getEventSourceFor(Node.class, NODES)
            instanceof InformerEventSource<Node, InferenceDeployment> nodes
        ? nodes
            .list(node -> node.getMetadata().getLabels() != null)
            .map(n -> new GpuNode(n.getMetadata().getName(), n.getMetadata().getLabels()))
            .toList()
        : List.of();
  }

  /** Every class there is, from the cache. */
  static List<InferenceClass> allClasses(Context<InferenceDeployment> context) {
    return context
                .eventSourceRetriever()
                .<InferenceClass>getEventSourceFor(InferenceClass.class, CLASSES)
            instanceof InformerEventSource<InferenceClass, InferenceDeployment> classes
        ? classes.list(clazz -> true).toList()
        : List.of();
  }

  private static boolean uses(InferenceDeployment deployment, String clazz) {
    return !(deployment instanceof UnreadableDeployment)
        && Assessor.className(deployment).equals(clazz);
  }
}

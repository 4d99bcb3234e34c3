package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.operator.desired.Labels;
import dev.kvdrive.operator.stored.UnreadableDeployment;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Pod;
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

  private EventSources() {}

  static List<EventSource<?, InferenceDeployment>> of(
      EventSourceContext<InferenceDeployment> context, boolean classesVisible) {
    List<EventSource<?, InferenceDeployment>> sources = new ArrayList<>();
    sources.add(labelled(Pod.class, context));
    sources.add(labelled(PersistentVolumeClaim.class, context));
    if (classesVisible) {
      sources.add(classes(context));
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

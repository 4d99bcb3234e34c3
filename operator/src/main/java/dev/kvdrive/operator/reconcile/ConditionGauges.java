package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.status.ConditionTypes;
import io.fabric8.kubernetes.api.model.Condition;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.AbstractEventSource;
import io.javaoperatorsdk.operator.processing.event.source.ResourceEventAware;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/**
 * The conditions that alerts are written for, as gauges: 1 while a condition is True, else 0. They
 * come and go with their deployment, and show what its status shows, whoever wrote it. No source of
 * events, but told of all that happens to deployments as one.
 */
final class ConditionGauges extends AbstractEventSource<InferenceDeployment, InferenceDeployment>
    implements ResourceEventAware<InferenceDeployment> {
  private static final List<String> TYPES =
      List.of(ConditionTypes.READY, ConditionTypes.FEASIBLE, ConditionTypes.STALLED);

  private final MeterRegistry registry;
  private final Map<ResourceID, Deployment> deployments = new ConcurrentHashMap<>();

  /** What one deployment's gauges read. */
  private static final class Deployment {
    private final List<Meter> meters = new ArrayList<>();
    private volatile Set<String> holding = Set.of();
  }

  ConditionGauges(MeterRegistry registry) {
    super(InferenceDeployment.class, "condition-gauges");
    this.registry = registry;
  }

  @Override
  public void onResourceCreated(InferenceDeployment resource) {
    show(resource);
  }

  @Override
  public void onResourceUpdated(InferenceDeployment resource, InferenceDeployment before) {
    show(resource);
  }

  @Override
  public void onResourceDeleted(InferenceDeployment resource) {
    deployments.computeIfPresent(
        ResourceID.fromResource(resource),
        (id, shown) -> {
          shown.meters.forEach(registry::remove);
          return null;
        });
  }

  @Override
  public Set<InferenceDeployment> getSecondaryResources(InferenceDeployment primary) {
    return Set.of();
  }

  private void show(InferenceDeployment resource) {
    Set<String> holding = holding(resource);
    deployments.compute(
        ResourceID.fromResource(resource),
        (id, shown) -> {
          Deployment deployment = shown == null ? registered(id) : shown;
          deployment.holding = holding;
          return deployment;
        });
  }

  private Deployment registered(ResourceID id) {
    Deployment deployment = new Deployment();
    for (String type : TYPES) {
      deployment.meters.add(
          Gauge.builder(
                  "kvdrive.deployment.condition",
                  deployment,
                  shown -> shown.holding.contains(type) ? 1 : 0)
              .description("1 while the condition of the InferenceDeployment is True")
              .tag("namespace", id.getNamespace().orElse(""))
              .tag("name", id.getName())
              .tag("condition", type)
              .register(registry));
    }
    return deployment;
  }

  private static Set<String> holding(InferenceDeployment resource) {
    return resource.getStatus() == null || resource.getStatus().conditions() == null
        ? Set.of()
        : resource.getStatus().conditions().stream()
            .filter(condition -> "True".equals(condition.getStatus()))
            .map(Condition::getType)
            .collect(Collectors.toUnmodifiableSet());
  }
}

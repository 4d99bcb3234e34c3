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
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The conditions that alerts are written for, as gauges: one for each status a condition can have,
 * 1 while it has it, else 0. They come and go with their deployment, and show what its status
 * shows, whoever wrote it. No source of events, but told of all that happens to deployments as one.
 */
final class ConditionGauges extends AbstractEventSource<InferenceDeployment, InferenceDeployment>
    implements ResourceEventAware<InferenceDeployment> {
  private static final List<String> TYPES =
      List.of(ConditionTypes.READY, ConditionTypes.FEASIBLE, ConditionTypes.STALLED);

  /** In the words of kube-state-metrics. */
  private static final List<String> STATUSES = List.of("true", "false", "unknown");

  private final MeterRegistry registry;
  private final Map<ResourceID, Deployment> deployments = new ConcurrentHashMap<>();

  /** What one deployment's gauges read. */
  private static final class Deployment {
    private final List<Meter> meters = new ArrayList<>();
    private volatile Map<String, String> statuses = Map.of();
    private volatile @Nullable String operator;
  }

  /**
   * @param operator who this is; what another serves is counted
   */
  ConditionGauges(MeterRegistry registry, String operator) {
    super(InferenceDeployment.class, "condition-gauges");
    this.registry = registry;
    Gauge.builder(
            "kvdrive.operator.deployments.of.others",
            deployments,
            all ->
                all.values().stream()
                    .map(d -> d.operator)
                    .filter(by -> by != null && !by.equals(operator))
                    .count())
        .description("InferenceDeployments that this operator leaves alone: another serves them")
        .register(registry);
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
    Map<String, String> statuses = statuses(resource);
    deployments.compute(
        ResourceID.fromResource(resource),
        (id, shown) -> {
          Deployment deployment = shown == null ? registered(id) : shown;
          deployment.statuses = statuses;
          deployment.operator =
              resource.getStatus() == null ? null : resource.getStatus().operator();
          return deployment;
        });
  }

  private Deployment registered(ResourceID id) {
    Deployment deployment = new Deployment();
    for (String type : TYPES) {
      for (String status : STATUSES) {
        deployment.meters.add(
            Gauge.builder(
                    "kvdrive.deployment.condition",
                    deployment,
                    shown -> status.equals(status(shown, type)) ? 1 : 0)
                .description("1 while the condition of the InferenceDeployment has the status")
                .tag("namespace", id.getNamespace().orElse(""))
                .tag("name", id.getName())
                .tag("condition", type)
                .tag("status", status)
                .register(registry));
      }
    }
    return deployment;
  }

  /** Stalled is only there while it holds; of the others nothing is known before they are there. */
  private static String status(Deployment shown, String type) {
    return shown.statuses.getOrDefault(
        type, type.equals(ConditionTypes.STALLED) ? "false" : "unknown");
  }

  private static Map<String, String> statuses(InferenceDeployment resource) {
    return resource.getStatus() == null || resource.getStatus().conditions() == null
        ? Map.of()
        : resource.getStatus().conditions().stream()
            .collect(
                Collectors.toUnmodifiableMap(
                    Condition::getType, c -> c.getStatus().toLowerCase(Locale.ROOT), (x, y) -> x));
  }
}

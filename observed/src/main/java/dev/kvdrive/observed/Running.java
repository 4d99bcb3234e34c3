package dev.kvdrive.observed;

import dev.kvdrive.feasibility.Usage;
import dev.kvdrive.plan.TierBudgets;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What runs of a class in a namespace: of each deployment the larger of what its workload asks for
 * and what its pods have. Pods of an earlier specification count until they are gone, those that
 * are being stopped included; what each counts is written on it.
 */
public final class Running {
  private Running() {}

  /**
   * By name of the deployment.
   *
   * @param workloads Deployments and StatefulSets of the namespace
   * @param pods of the namespace
   */
  public static Map<String, Usage> of(
      String className, Collection<? extends HasMetadata> workloads, Collection<Pod> pods) {
    Map<String, Usage> asked = new HashMap<>();
    for (HasMetadata workload : workloads) {
      usage(workload, className)
          .ifPresent(usage -> asked.merge(name(workload), usage, Usage::plus));
    }
    Map<String, Usage> present = new HashMap<>();
    pods.stream()
        .filter(pod -> !hasEnded(pod))
        .forEach(
            pod ->
                usage(pod.getMetadata().getAnnotations(), 1, className)
                    .ifPresent(usage -> present.merge(name(pod), usage, Usage::plus)));
    Map<String, Usage> running = new TreeMap<>(asked);
    present.forEach((name, usage) -> running.merge(name, usage, Usage::max));
    return running;
  }

  private static Optional<Usage> usage(HasMetadata workload, String className) {
    return switch (workload) {
      case Deployment d -> usage(d.getSpec().getTemplate(), d.getSpec().getReplicas(), className);
      case StatefulSet s -> usage(s.getSpec().getTemplate(), s.getSpec().getReplicas(), className);
      default -> Optional.empty();
    };
  }

  private static Optional<Usage> usage(
      PodTemplateSpec template, @Nullable Integer replicas, String className) {
    return template.getMetadata() == null
        ? Optional.empty()
        : usage(
            template.getMetadata().getAnnotations(), replicas == null ? 1 : replicas, className);
  }

  private static Optional<Usage> usage(
      @Nullable Map<String, String> annotations, int replicas, String className) {
    if (annotations == null || !className.equals(annotations.get(Labels.CLASS))) {
      return Optional.empty();
    }
    return Optional.of(
        Usage.of(
            new TierBudgets(
                bytes(annotations.get(Labels.GPU_BYTES)),
                bytes(annotations.get(Labels.DRAM_BYTES)),
                bytes(annotations.get(Labels.NVME_BYTES))),
            replicas));
  }

  /** What somebody else wrote there counts nothing. */
  private static long bytes(@Nullable String text) {
    try {
      return text == null ? 0 : Math.max(0, Long.parseLong(text));
    } catch (NumberFormatException e) {
      return 0;
    }
  }

  private static String name(HasMetadata object) {
    Map<String, String> labels = object.getMetadata().getLabels();
    return Stream.ofNullable(labels)
        .map(l -> l.get(Labels.INSTANCE))
        .filter(name -> name != null)
        .findFirst()
        .orElse(object.getMetadata().getName());
  }

  private static boolean hasEnded(Pod pod) {
    return pod.getStatus() != null
        && ("Failed".equals(pod.getStatus().getPhase())
            || "Succeeded".equals(pod.getStatus().getPhase()));
  }
}

package dev.kvdrive.operator.status;

import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What the status of a pod says. */
public final class Pods {
  /** What controllers write on each pod of a template, for Deployments and for StatefulSets. */
  private static final List<String> TEMPLATE_LABELS =
      List.of("pod-template-hash", "controller-revision-hash");

  private Pods() {}

  /** Whether two pods of a deployment were made from the same template, as far as can be seen. */
  static boolean haveSameTemplate(Pod one, Pod other) {
    return TEMPLATE_LABELS.stream()
        .allMatch(label -> Objects.equals(label(one, label), label(other, label)));
  }

  private static @Nullable String label(Pod pod, String label) {
    Map<String, String> labels = pod.getMetadata().getLabels();
    return labels == null ? null : labels.get(label);
  }

  /** Whether the pod serves. */
  public static boolean isReady(Pod pod) {
    return pod.getStatus() != null
        && pod.getStatus().getConditions().stream()
            .anyMatch(c -> "Ready".equals(c.getType()) && "True".equals(c.getStatus()));
  }
}

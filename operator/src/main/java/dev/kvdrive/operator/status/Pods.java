package dev.kvdrive.operator.status;

import io.fabric8.kubernetes.api.model.Pod;

/** What the status of a pod says. */
public final class Pods {
  private Pods() {}

  /** Whether the pod serves. */
  public static boolean isReady(Pod pod) {
    return pod.getStatus() != null
        && pod.getStatus().getConditions().stream()
            .anyMatch(c -> "Ready".equals(c.getType()) && "True".equals(c.getStatus()));
  }
}

package dev.kvdrive.operator.status;

import dev.kvdrive.feasibility.GpuRequest;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.ResourceHealth;
import io.fabric8.kubernetes.api.model.ResourceStatus;
import java.util.List;
import java.util.Optional;

/**
 * A card that a device plugin or driver has called unhealthy while a pod has it. The kubelet says
 * so in the pod's status, with the feature gate ResourceHealthStatus; without it, nobody does. A
 * pod keeps its card, also through restarts, so only its successor can get another.
 *
 * @param pod that has the card
 * @param name of the resource or claim, and of the card
 */
record LostCard(String pod, String name) {
  private static final String UNHEALTHY = "Unhealthy";

  /** How the kubelet names what a container has by a claim: {@code claim:NAME/REQUEST}. */
  private static final String CLAIMED = "claim:";

  /**
   * The first lost card of a pod that does not serve: one that serves has no trouble, and of one
   * that goes the card goes too.
   *
   * @param pods to look at
   * @param gpu what they ask for
   */
  static Optional<LostCard> of(List<Pod> pods, GpuRequest gpu) {
    return pods.stream()
        .filter(pod -> pod.getMetadata().getDeletionTimestamp() == null)
        .filter(pod -> pod.getStatus() != null && !Pods.isReady(pod))
        .flatMap(
            pod ->
                pod.getStatus().getContainerStatuses().stream()
                    .map(ContainerStatus::getAllocatedResourcesStatus)
                    .flatMap(List::stream)
                    .filter(resource -> isGpu(resource, gpu))
                    .flatMap(
                        resource ->
                            resource.getResources().stream()
                                .filter(card -> UNHEALTHY.equals(card.getHealth()))
                                .map(ResourceHealth::getResourceID)
                                .map(card -> resource.getName() + " " + card))
                    .map(name -> new LostCard(pod.getMetadata().getName(), name)))
        .findFirst();
  }

  private static boolean isGpu(ResourceStatus resource, GpuRequest gpu) {
    return gpu.claimTemplate() == null
        ? gpu.resourceName().equals(resource.getName())
        : resource.getName() != null && resource.getName().startsWith(CLAIMED);
  }

  /**
   * For people, with the way out.
   *
   * @param namespace of the pod
   */
  String words(String namespace) {
    return "The card of pod %s, %s, is reported unhealthy by its node. The pod keeps it until it is deleted, also when it restarts; its successor gets another if one is free: kubectl delete pod %s --namespace %s."
        .formatted(pod, name, pod, namespace);
  }
}

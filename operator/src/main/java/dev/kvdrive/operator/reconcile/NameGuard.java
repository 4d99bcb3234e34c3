package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.desired.InferencePool;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Keeps a deployment from taking over objects that are not its own. Server-side apply would adopt
 * an object of the same name, and the deployment's end would then delete it.
 */
final class NameGuard {
  private NameGuard() {}

  /** What is in the way, if anything. Objects the operator already watches are its own. */
  static Optional<String> taken(
      InferenceDeployment deployment,
      DesiredObjects desired,
      Context<InferenceDeployment> context) {
    Request request = desired.request();
    String name = request.name();
    Map<Class<? extends HasMetadata>, String> names = new LinkedHashMap<>();
    names.put(Service.class, name);
    names.put(ConfigMap.class, desired.configName());
    names.put(ServiceAccount.class, name);
    names.put(NetworkPolicy.class, name);
    names.put(request.retainsVolume() ? StatefulSet.class : Deployment.class, name);
    if (request.replicas() > 1) {
      names.put(PodDisruptionBudget.class, name);
    }
    if (desired.isRouted() && Dependents.served(context).routes()) {
      names.put(HTTPRoute.class, name);
    }
    if (desired.isPooled() && Dependents.served(context).pools()) {
      names.put(InferencePool.class, name);
    }
    return names.entrySet().stream()
        .filter(e -> !isWatched(e.getKey(), e.getValue(), context))
        .filter(e -> isForeign(e.getKey(), e.getValue(), deployment, context))
        .map(
            e ->
                ("There already is a %s named %s that belongs to somebody else; rename this resource"
                        + " or remove that one: kubectl delete %s %s --namespace %s")
                    .formatted(
                        e.getKey().getSimpleName(),
                        e.getValue(),
                        e.getKey().getSimpleName().toLowerCase(Locale.ROOT),
                        e.getValue(),
                        request.namespace()))
        .findFirst()
        .or(() -> besides(request, context));
  }

  /**
   * A workload of the other kind that a deployment of this name left when it was deleted without
   * its objects: its pods would answer beside the new ones. Somebody wanted them to go on, so they
   * are not deleted.
   */
  private static Optional<String> besides(Request request, Context<InferenceDeployment> context) {
    Class<? extends HasMetadata> other =
        request.retainsVolume() ? Deployment.class : StatefulSet.class;
    return new Caches(context)
        .list(other, request.namespace()).stream()
            .filter(workload -> workload.getMetadata().getName().equals(request.name()))
            .filter(
                workload ->
                    workload.getMetadata().getOwnerReferences().isEmpty()
                        || !isWatched(other, request.name(), context))
            .findFirst()
            .map(
                workload ->
                    ("There is a %s named %s that a deleted deployment of this name left; its pods"
                            + " would serve beside the new ones. Remove it: kubectl delete %s %s"
                            + " --namespace %s")
                        .formatted(
                            other.getSimpleName(),
                            request.name(),
                            other.getSimpleName().toLowerCase(Locale.ROOT),
                            request.name(),
                            request.namespace()));
  }

  private static boolean isWatched(
      Class<? extends HasMetadata> type, String name, Context<InferenceDeployment> context) {
    return context
        .getSecondaryResourcesAsStream(type)
        .anyMatch(object -> object.getMetadata().getName().equals(name));
  }

  private static boolean isForeign(
      Class<? extends HasMetadata> type,
      String name,
      InferenceDeployment deployment,
      Context<InferenceDeployment> context) {
    HasMetadata found =
        context
            .getClient()
            .resources(type)
            .inNamespace(deployment.getMetadata().getNamespace())
            .withName(name)
            .get();
    return found != null && !Dependents.isIts(found, deployment);
  }
}

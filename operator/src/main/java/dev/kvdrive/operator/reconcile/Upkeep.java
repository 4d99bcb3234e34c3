package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import dev.kvdrive.operator.desired.InferencePool;
import dev.kvdrive.operator.status.ForeignFields;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.ServiceAccountBuilder;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRouteBuilder;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.net.HttpURLConnection;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What goes on for a deployment whose specification is refused. Its pods are of an earlier
 * specification, which is not stored anywhere; what they run with is remembered as it was last
 * seen.
 */
final class Upkeep {
  private static final Logger log = LoggerFactory.getLogger(Upkeep.class);

  private Upkeep() {}

  /** Remembers what the pods of a deployment run with, and forgets what they do not need. */
  static void remember(Memory.OfOne memory, Context<InferenceDeployment> context) {
    memory.objects().clear();
    memory.objects().putAll(seen(context));
  }

  /**
   * Makes again what is gone of what the pods run with, and takes away the pods that are no longer
   * asked for: having fewer is allowed to everybody.
   */
  static void keep(
      InferenceDeployment deployment, Memory.OfOne memory, Context<InferenceDeployment> context) {
    HasMetadata workload = workload(context);
    if (workload == null) {
      return;
    }
    Map<String, HasMetadata> seen = seen(context);
    seen.forEach(memory.objects()::putIfAbsent);
    memory
        .objects()
        .forEach(
            (key, object) -> {
              if (!seen.containsKey(key) && isNeeded(object, workload, context)) {
                makeAgain(object, deployment, context);
              }
            });
    Integer wanted =
        deployment instanceof UnreadableDeployment ? null : deployment.getSpec().replicas();
    if (wanted != null && replicas(workload) > wanted) {
      context
          .getClient()
          .resource(workload)
          .patch(
              new PatchContext.Builder()
                  .withPatchType(PatchType.JSON_MERGE)
                  .withFieldManager(ForeignFields.OPERATOR)
                  .build(),
              "{\"spec\":{\"replicas\":%d}}".formatted(wanted));
    }
  }

  static @Nullable HasMetadata workload(Context<InferenceDeployment> context) {
    return Stream.of(Deployment.class, StatefulSet.class)
        .flatMap(kind -> context.getSecondaryResourcesAsStream(kind))
        .map(HasMetadata.class::cast)
        .findFirst()
        .orElse(null);
  }

  private static int replicas(HasMetadata workload) {
    Integer replicas =
        workload instanceof StatefulSet set
            ? set.getSpec().getReplicas()
            : ((Deployment) workload).getSpec().getReplicas();
    return replicas == null ? 1 : replicas;
  }

  private static PodTemplateSpec template(HasMetadata workload) {
    return workload instanceof StatefulSet set
        ? set.getSpec().getTemplate()
        : ((Deployment) workload).getSpec().getTemplate();
  }

  private static HasMetadata makeAgainOf(HasMetadata object) {
    ObjectMeta metadata =
        new ObjectMetaBuilder()
            .withName(object.getMetadata().getName())
            .withNamespace(object.getMetadata().getNamespace())
            .withLabels(object.getMetadata().getLabels())
            // An object that is there makes this a conflict: it is made, or left alone.
            .withResourceVersion("1")
            .build();
    return switch (object) {
      case ConfigMap c ->
          new ConfigMapBuilder()
              .withMetadata(metadata)
              .withImmutable(c.getImmutable())
              .withData(c.getData())
              .build();
      case ServiceAccount a ->
          new ServiceAccountBuilder()
              .withMetadata(metadata)
              .withAutomountServiceAccountToken(a.getAutomountServiceAccountToken())
              .build();
      case Service s ->
          new ServiceBuilder()
              .withMetadata(metadata)
              .withNewSpec()
              .withType(s.getSpec().getType())
              .withSelector(s.getSpec().getSelector())
              .withPorts(s.getSpec().getPorts())
              .endSpec()
              .build();
      case NetworkPolicy n ->
          new NetworkPolicyBuilder().withMetadata(metadata).withSpec(n.getSpec()).build();
      case PodDisruptionBudget b ->
          new PodDisruptionBudgetBuilder().withMetadata(metadata).withSpec(b.getSpec()).build();
      case HTTPRoute r ->
          new HTTPRouteBuilder().withMetadata(metadata).withSpec(r.getSpec()).build();
      case InferencePool p -> {
        InferencePool again = new InferencePool();
        again.setMetadata(metadata);
        again.setSpec(p.getSpec());
        yield again;
      }
      default -> throw new IllegalArgumentException("not remembered: " + object.getKind());
    };
  }

  private static void makeAgain(
      HasMetadata object, InferenceDeployment deployment, Context<InferenceDeployment> context) {
    HasMetadata again = makeAgainOf(object);
    again.addOwnerReference(deployment);
    try {
      context
          .getClient()
          .resource(again)
          .fieldManager(ForeignFields.OPERATOR)
          .forceConflicts()
          .serverSideApply();
      log.info(
          "{} {}/{} was gone and is made again as it was: the pods run with it",
          again.getKind(),
          again.getMetadata().getNamespace(),
          again.getMetadata().getName());
    } catch (KubernetesClientException e) {
      if (e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
        throw e;
      }
    }
  }

  /** A configuration is needed while a pod may start with it; the rest as long as pods may run. */
  private static boolean isNeeded(
      HasMetadata object, HasMetadata workload, Context<InferenceDeployment> context) {
    return !(object instanceof ConfigMap)
        || configurations(workload, context).contains(object.getMetadata().getName());
  }

  private static Set<String> configurations(
      HasMetadata workload, Context<InferenceDeployment> context) {
    Pod template = new Pod();
    template.setSpec(template(workload).getSpec());
    return PastConfigurations.mounted(
        Stream.concat(Stream.of(template), context.getSecondaryResourcesAsStream(Pod.class))
            .toList());
  }

  private static Map<String, HasMetadata> seen(Context<InferenceDeployment> context) {
    Map<String, HasMetadata> seen = new HashMap<>();
    Stream.of(
            ConfigMap.class,
            ServiceAccount.class,
            Service.class,
            NetworkPolicy.class,
            PodDisruptionBudget.class,
            HTTPRoute.class,
            InferencePool.class)
        .flatMap(kind -> context.getSecondaryResourcesAsStream(kind))
        .forEach(
            object -> seen.put(object.getKind() + "/" + object.getMetadata().getName(), object));
    return seen;
  }
}

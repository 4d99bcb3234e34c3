package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.desired.DesiredObjects;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.apps.StatefulSetSpec;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;

/**
 * What the API server lets nobody change in a workload. It would refuse the whole workload, and of
 * a StatefulSet say only which fields may change; so it is compared before.
 */
final class ImmutableFields {
  private ImmutableFields() {}

  /** Which field of the workload there is would have to become another, if any, and the way out. */
  static Optional<String> conflict(DesiredObjects desired, Context<InferenceDeployment> context) {
    return desired.request().retainsVolume()
        ? context
            .getSecondaryResource(StatefulSet.class)
            .flatMap(set -> conflict(set, desired.statefulSet(Optional.empty())))
        : context
            .getSecondaryResource(Deployment.class)
            .flatMap(deployment -> conflict(deployment, desired.deployment()));
  }

  static Optional<String> conflict(Deployment running, Deployment wanted) {
    return changed(
            "spec.selector",
            running.getSpec().getSelector().getMatchLabels(),
            wanted.getSpec().getSelector().getMatchLabels())
        .map(change -> said(running, change, ""));
  }

  static Optional<String> conflict(StatefulSet running, StatefulSet wanted) {
    Map<String, Function<StatefulSetSpec, Object>> fields = new LinkedHashMap<>();
    fields.put("spec.selector", spec -> spec.getSelector().getMatchLabels());
    fields.put("spec.serviceName", StatefulSetSpec::getServiceName);
    fields.put("spec.podManagementPolicy", StatefulSetSpec::getPodManagementPolicy);
    return fields.entrySet().stream()
        .flatMap(
            field ->
                changed(
                    field.getKey(),
                    field.getValue().apply(running.getSpec()),
                    field.getValue().apply(wanted.getSpec()))
                    .stream())
        .findFirst()
        .or(() -> smaller(running, wanted))
        .map(change -> said(running, change, "; its retained volumes go with it"));
  }

  /** Its class may be any, for what is bound stays; but what is too small serves no new plan. */
  private static Optional<String> smaller(StatefulSet running, StatefulSet wanted) {
    PersistentVolumeClaim claim = wanted.getSpec().getVolumeClaimTemplates().getFirst();
    Quantity needed = size(claim);
    Optional<Quantity> given =
        running.getSpec().getVolumeClaimTemplates().stream()
            .filter(c -> c.getMetadata().getName().equals(claim.getMetadata().getName()))
            .map(ImmutableFields::size)
            .findFirst();
    if (given.isPresent()
        && given.get().getNumericalAmount().compareTo(needed.getNumericalAmount()) >= 0) {
      return Optional.empty();
    }
    return changed(
        "the volume size in spec.volumeClaimTemplates",
        given.map(Quantity::toString).orElse("not there"),
        needed.toString());
  }

  private static Quantity size(PersistentVolumeClaim claim) {
    return claim.getSpec().getResources().getRequests().getOrDefault("storage", new Quantity("0"));
  }

  private static Optional<String> changed(String field, Object is, Object wanted) {
    return Objects.equals(is, wanted)
        ? Optional.empty()
        : Optional.of("%s is %s and would have to become %s".formatted(field, is, wanted));
  }

  private static String said(HasMetadata running, String change, String price) {
    String kind = running.getKind();
    String name = running.getMetadata().getName();
    return ("In %s %s %s, which Kubernetes does not allow. What runs is kept. Make a deployment of"
            + " another name, or have this %s made anew: kubectl delete %s %s --namespace %s%s.")
        .formatted(
            kind,
            name,
            change,
            kind,
            kind.toLowerCase(Locale.ROOT),
            name,
            running.getMetadata().getNamespace(),
            price);
  }
}

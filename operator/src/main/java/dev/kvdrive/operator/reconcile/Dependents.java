package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.desired.InferencePool;
import dev.kvdrive.operator.status.ForeignFields;
import dev.kvdrive.operator.status.RouteView.Served;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.config.informer.Informer;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.processing.dependent.Matcher;
import io.javaoperatorsdk.operator.processing.dependent.kubernetes.CRUDKubernetesDependentResource;
import io.javaoperatorsdk.operator.processing.dependent.kubernetes.KubernetesDependent;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.SecondaryToPrimaryMapper;
import io.javaoperatorsdk.operator.processing.event.source.informer.Mappers;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The objects of a deployment as the framework's dependents. Each is owned by the deployment, so
 * that Kubernetes collects it when the deployment goes. What they should be is decided elsewhere:
 * the reconciler shares one {@link DesiredObjects} with all of them.
 */
final class Dependents {
  private static final int UNPROCESSABLE = 422;

  private static final String SERVED = Served.class.getName();
  private static final String VERDICT = Assessment.class.getName();
  private static final String KEY = DesiredObjects.class.getName();

  private Dependents() {}

  /** Makes {@code desired} known to the dependents of this reconciliation. */
  static void share(DesiredObjects desired, Context<InferenceDeployment> context) {
    context.managedWorkflowAndDependentResourceContext().put(KEY, desired);
  }

  /** Makes the verdict known to whoever looks after a reconciliation that failed. */
  static void share(Assessment verdict, Context<InferenceDeployment> context) {
    context.managedWorkflowAndDependentResourceContext().put(VERDICT, verdict);
  }

  /** Makes known which kinds of the Gateway API there are. */
  static void share(Served served, Context<InferenceDeployment> context) {
    context.managedWorkflowAndDependentResourceContext().put(SERVED, served);
  }

  /** Which kinds of the Gateway API there are. */
  static Served served(Context<InferenceDeployment> context) {
    return context.managedWorkflowAndDependentResourceContext().getMandatory(SERVED, Served.class);
  }

  /** The verdict of this reconciliation, if it came that far. */
  static Optional<Assessment> verdict(Context<InferenceDeployment> context) {
    return context.managedWorkflowAndDependentResourceContext().get(VERDICT, Assessment.class);
  }

  /** What the reconciler shared. */
  static DesiredObjects desired(Context<InferenceDeployment> context) {
    return context
        .managedWorkflowAndDependentResourceContext()
        .getMandatory(KEY, DesiredObjects.class);
  }

  /**
   * An object of a deployment. Which objects are its own is said by their owner references; the
   * label only keeps the caches small. One whose label somebody took off has left the cache, but is
   * there: it is applied again, which puts the label back, instead of being created. So is one
   * whose owner reference somebody took off: that the operator applied it says whose it was.
   */
  abstract static class Owned<R extends HasMetadata>
      extends CRUDKubernetesDependentResource<R, InferenceDeployment>
      implements SecondaryToPrimaryMapper<R> {
    private final SecondaryToPrimaryMapper<R> owners =
        Mappers.fromOwnerReferences(InferenceDeployment.class);

    @Override
    public Set<ResourceID> toPrimaryResourceIDs(R object) {
      Set<ResourceID> primaries = new HashSet<>(owners.toPrimaryResourceIDs(object));
      String instance = instance(object);
      if (instance != null && hasLostItsOwner(object)) {
        primaries.add(new ResourceID(instance, object.getMetadata().getNamespace()));
      }
      return primaries;
    }

    private static @Nullable String instance(HasMetadata object) {
      Map<String, String> labels = object.getMetadata().getLabels();
      return labels == null ? null : labels.get(Labels.INSTANCE);
    }

    @Override
    public R create(R desired, InferenceDeployment of, Context<InferenceDeployment> context) {
      R there = context.getClient().resource(desired).get();
      return there != null && isIts(there, of)
          ? update(there, desired, of, context)
          : super.create(desired, of, context);
    }

    /**
     * An API server drops fields of features that are off behind its own bookkeeping, which says
     * that they were applied. The framework's comparison looks for what the bookkeeping says, and
     * fails where it finds nothing: such an object is not as desired, and is applied again.
     */
    @Override
    public Matcher.Result<R> match(
        R actual, R desired, InferenceDeployment of, Context<InferenceDeployment> context) {
      try {
        return super.match(actual, desired, of, context);
      } catch (IllegalStateException e) {
        return Matcher.Result.computed(false, desired);
      }
    }

    /** What cannot be applied beside what others put into the object is applied without that. */
    @Override
    public R update(
        R actual, R desired, InferenceDeployment of, Context<InferenceDeployment> context) {
      try {
        return super.update(actual, desired, of, context);
      } catch (KubernetesClientException e) {
        if (e.getCode() != UNPROCESSABLE || !ForeignEntries.takeOut(desired, context.getClient())) {
          throw e;
        }
        return super.update(actual, desired, of, context);
      }
    }
  }

  /** What others have put into the objects of a deployment; service accounts are for everybody. */
  static List<String> foreignFields(Context<InferenceDeployment> context) {
    return Stream.of(
            Deployment.class,
            StatefulSet.class,
            Service.class,
            ConfigMap.class,
            NetworkPolicy.class,
            PodDisruptionBudget.class,
            HTTPRoute.class,
            InferencePool.class)
        .flatMap(kind -> context.getSecondaryResourcesAsStream(kind))
        .flatMap(
            object ->
                ForeignFields.of(object).stream()
                    .map(
                        field ->
                            "%s %s: %s"
                                .formatted(
                                    object.getKind(), object.getMetadata().getName(), field)))
        .sorted()
        .toList();
  }

  /** Whether {@code object}, which has a name of the deployment's objects, is one of them. */
  static boolean isIts(HasMetadata object, InferenceDeployment by) {
    return hasLostItsOwner(object) || isOwned(object, by);
  }

  /** Whether the operator made {@code object}, and nobody owns it now. */
  private static boolean hasLostItsOwner(HasMetadata object) {
    return object.getMetadata().getOwnerReferences().isEmpty() && ForeignFields.isApplied(object);
  }

  private static boolean isOwned(HasMetadata object, InferenceDeployment by) {
    return object.getMetadata().getOwnerReferences().stream()
        .anyMatch(owner -> owner.getUid().equals(by.getMetadata().getUid()));
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Config extends Owned<ConfigMap> {
    @Override
    protected ConfigMap desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).configMap();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Account extends Owned<ServiceAccount> {
    @Override
    protected ServiceAccount desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).serviceAccount();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Network extends Owned<NetworkPolicy> {
    @Override
    protected NetworkPolicy desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).networkPolicy();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Endpoint extends Owned<Service> {
    @Override
    protected Service desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).service();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class EphemeralWorkload extends Owned<Deployment> {
    @Override
    protected Deployment desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).deployment();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class RetainedWorkload extends Owned<StatefulSet> {
    @Override
    protected StatefulSet desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context)
          .statefulSet(context.getSecondaryResource(StatefulSet.class));
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Disruption extends Owned<PodDisruptionBudget> {
    @Override
    protected PodDisruptionBudget desired(
        InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).podDisruptionBudget();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Routing extends Owned<HTTPRoute> {
    @Override
    protected HTTPRoute desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).httpRoute();
    }

    /** Known of a deployment without a route as well, whose former one is deleted. */
    @Override
    protected ResourceID targetSecondaryResourceID(
        InferenceDeployment of, Context<InferenceDeployment> context) {
      return ResourceID.fromResource(of);
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Pool extends Owned<InferencePool> {
    @Override
    protected InferencePool desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).inferencePool();
    }

    /** Known of a deployment without a pool as well, whose former one is deleted. */
    @Override
    protected ResourceID targetSecondaryResourceID(
        InferenceDeployment of, Context<InferenceDeployment> context) {
      return ResourceID.fromResource(of);
    }
  }
}

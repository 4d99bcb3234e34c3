package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.desired.DesiredObjects;
import dev.kvdrive.operator.desired.Labels;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.javaoperatorsdk.operator.api.config.informer.Informer;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.processing.dependent.kubernetes.CRUDKubernetesDependentResource;
import io.javaoperatorsdk.operator.processing.dependent.kubernetes.KubernetesDependent;

/**
 * The objects of a deployment as the framework's dependents. Each is owned by the deployment, so
 * that Kubernetes collects it when the deployment goes. What they should be is decided elsewhere:
 * the reconciler shares one {@link DesiredObjects} with all of them.
 */
final class Dependents {
  private static final String KEY = DesiredObjects.class.getName();

  private Dependents() {}

  /** Makes {@code desired} known to the dependents of this reconciliation. */
  static void share(DesiredObjects desired, Context<InferenceDeployment> context) {
    context.managedWorkflowAndDependentResourceContext().put(KEY, desired);
  }

  /** What the reconciler shared. */
  static DesiredObjects desired(Context<InferenceDeployment> context) {
    return context
        .managedWorkflowAndDependentResourceContext()
        .getMandatory(KEY, DesiredObjects.class);
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Config
      extends CRUDKubernetesDependentResource<ConfigMap, InferenceDeployment> {
    @Override
    protected ConfigMap desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).configMap();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Account
      extends CRUDKubernetesDependentResource<ServiceAccount, InferenceDeployment> {
    @Override
    protected ServiceAccount desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).serviceAccount();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Network
      extends CRUDKubernetesDependentResource<NetworkPolicy, InferenceDeployment> {
    @Override
    protected NetworkPolicy desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).networkPolicy();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Endpoint
      extends CRUDKubernetesDependentResource<Service, InferenceDeployment> {
    @Override
    protected Service desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).service();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class EphemeralWorkload
      extends CRUDKubernetesDependentResource<Deployment, InferenceDeployment> {
    @Override
    protected Deployment desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).deployment();
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class RetainedWorkload
      extends CRUDKubernetesDependentResource<StatefulSet, InferenceDeployment> {
    @Override
    protected StatefulSet desired(InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context)
          .statefulSet(context.getSecondaryResource(StatefulSet.class));
    }
  }

  @KubernetesDependent(informer = @Informer(labelSelector = Labels.SELECT_MANAGED))
  static final class Disruption
      extends CRUDKubernetesDependentResource<PodDisruptionBudget, InferenceDeployment> {
    @Override
    protected PodDisruptionBudget desired(
        InferenceDeployment of, Context<InferenceDeployment> context) {
      return Dependents.desired(context).podDisruptionBudget();
    }
  }
}

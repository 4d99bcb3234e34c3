package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.dependent.DependentResource;
import io.javaoperatorsdk.operator.processing.dependent.workflow.Condition;

/** Which dependents a deployment has. One that it has no more is deleted. */
final class Preconditions {
  private Preconditions() {}

  static final class VolumesAreRetained implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return Dependents.desired(context).request().retainsVolume();
    }
  }

  static final class VolumesGoWithPods implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return !Dependents.desired(context).request().retainsVolume();
    }
  }

  static final class SeveralReplicas implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return Dependents.desired(context).request().replicas() > 1;
    }
  }

  static final class Routed implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return Dependents.desired(context).isRouted();
    }
  }

  static final class Pooled implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return Dependents.desired(context).isPooled();
    }
  }

  /** Without the kind there is nothing to watch. */
  static final class RoutesAreServed implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return Dependents.served(context).routes();
    }
  }

  /** Without the kind there is nothing to watch. */
  static final class PoolsAreServed implements Condition<HasMetadata, InferenceDeployment> {
    @Override
    public boolean isMet(
        DependentResource<HasMetadata, InferenceDeployment> dependent,
        InferenceDeployment primary,
        Context<InferenceDeployment> context) {
      return Dependents.served(context).pools();
    }
  }
}

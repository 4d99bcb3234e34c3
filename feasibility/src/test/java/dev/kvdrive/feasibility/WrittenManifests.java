package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Geometry;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentSpec;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;

/** WrittenManifests as users write them. */
public final class WrittenManifests {
  private static final KubernetesSerialization YAML = new KubernetesSerialization();

  private WrittenManifests() {}

  /**
   * A deployment of the bundled model that fits.
   *
   * @param more lines of the specification, for instance {@code replicas: 2}
   */
  public static InferenceDeployment deployment(String name, String namespace, String more) {
    return deployment(
        name,
        namespace,
        """
        contextLength: 16384
        tiers:
          gpu: {memory: 64Mi}
          dram: {size: 64Mi}
          nvme: {size: 512Mi}
        """,
        more);
  }

  /** A deployment of the bundled model with a specification of {@code sizes} and {@code more}. */
  public static InferenceDeployment deployment(
      String name, String namespace, String sizes, String more) {
    return written(name, namespace, "model: {uri: \"builtin:kvdrive-tiny-32k\"}\n" + sizes + more);
  }

  /** A deployment with a specification of {@code spec}. */
  public static InferenceDeployment written(String name, String namespace, String spec) {
    return YAML.unmarshal(
        """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceDeployment
        metadata:
          name: %s
          namespace: %s
        spec:
        """
                .formatted(name, namespace)
            + spec.indent(2),
        InferenceDeployment.class);
  }

  /** A class with a specification of {@code spec}. */
  public static InferenceClass clazz(String name, String spec) {
    return YAML.unmarshal(
        """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceClass
        metadata: {name: %s}
        spec:
        """
                .formatted(name)
            + spec.indent(2),
        InferenceClass.class);
  }

  /** Sizes of a small transformer of {@code layers} layers. */
  public static Geometry geometry(int layers) {
    return new Geometry(
        layers, 64, 4, 2, 16, 128, 1000, 65536, new Quantity("4Mi"), null, null, null);
  }

  /** The specification with another model. */
  public static InferenceDeploymentSpec withModel(InferenceDeploymentSpec spec, String uri) {
    return withModel(spec, new ModelSpec(uri, null, null, null, null, null));
  }

  /** The specification with another model. */
  public static InferenceDeploymentSpec withModel(InferenceDeploymentSpec spec, ModelSpec model) {
    return new InferenceDeploymentSpec(
        spec.className(),
        model,
        spec.servedModelName(),
        spec.contextLength(),
        spec.concurrency(),
        spec.budget(),
        spec.quality(),
        spec.budgetBound(),
        spec.denseBelow(),
        spec.policy(),
        spec.index(),
        spec.kvType(),
        spec.resident(),
        spec.backing(),
        spec.meter(),
        spec.windows(),
        spec.tiers(),
        spec.replicas(),
        spec.access(),
        spec.route(),
        spec.traces(),
        spec.runtime());
  }
}

package dev.kvdrive.observed.stored;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StoredObjectsTest {
  private final KubernetesSerialization stored = StoredObjects.serialization();

  @Test
  void whatIsAsTheDefinitionSaysIsReadAsItIs() {
    InferenceDeployment written = WrittenManifests.deployment("endpoint", "legal", "replicas: 2");

    InferenceDeployment read = stored.unmarshal(stored.asJson(written), InferenceDeployment.class);

    assertThat(read).isExactlyInstanceOf(InferenceDeployment.class);
    assertThat(read.getSpec()).isEqualTo(written.getSpec());
    assertThat(read.getMetadata().getName()).isEqualTo("endpoint");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "contextLength: 3000000000",
        "contextLength: many",
        "kvType: FP4",
        "tiers: {gpu: {memory: 1e-999999999}, dram: {size: 1Mi}}",
        "tiers: {gpu: {memory: 1Mi}}",
        "runtime: {labels: [a]}",
      })
  void whatIsNotIsMarkedAndKeepsItsNameThroughClones(String line) {
    String field = line.substring(0, line.indexOf(':'));
    GenericKubernetesResource raw =
        stored.unmarshal(manifest(line), GenericKubernetesResource.class);
    InferenceDeployment poison = stored.clone(stored.convertValue(raw, InferenceDeployment.class));

    assertThat(poison)
        .isInstanceOfSatisfying(
            UnreadableDeployment.class,
            unreadable -> assertThat(unreadable.fault()).contains("spec." + field));
    assertThat(poison.getSpec()).isNull();
    assertThat(poison.getKind()).isEqualTo("InferenceDeployment");
    assertThat(poison.getPlural()).isEqualTo("inferencedeployments");
    assertThat(poison.getMetadata().getGeneration()).isEqualTo(3);
    assertThat(Objects.requireNonNull(poison.getStatus()).observedGeneration()).isEqualTo(2);
  }

  @Test
  void aStatusOfAnotherVersionIsPassedOver() {
    InferenceDeployment read =
        stored.unmarshal(
            manifest("concurrency: 2").replace("observedGeneration: 2", "replicas: many"),
            InferenceDeployment.class);

    assertThat(read).isExactlyInstanceOf(InferenceDeployment.class);
    assertThat(read.getSpec().concurrency()).isEqualTo(2);
    assertThat(read.getStatus()).isNull();
  }

  @Test
  void aClassThatIsNoneIsMarkedToo() {
    InferenceClass read =
        stored.unmarshal(
            """
            apiVersion: kvdrive.dev/v1alpha1
            kind: InferenceClass
            metadata: {name: wide}
            spec: {limits: {replicas: 9999999999}}
            """,
            InferenceClass.class);

    assertThat(read)
        .isInstanceOfSatisfying(
            UnreadableClass.class,
            unreadable -> assertThat(unreadable.fault()).contains("spec.limits.replicas"));
    assertThat(read.getMetadata().getName()).isEqualTo("wide");
  }

  private static String manifest(String line) {
    String field = line.substring(0, line.indexOf(':'));
    StringBuilder spec = new StringBuilder();
    for (String usual :
        new String[] {
          "model: {uri: 'builtin:kvdrive-tiny-32k'}",
          "contextLength: 16384",
          "tiers: {gpu: {memory: 64Mi}, dram: {size: 64Mi}}"
        }) {
      if (!usual.startsWith(field)) {
        spec.append(usual).append('\n');
      }
    }
    return """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceDeployment
        metadata: {name: poison, namespace: legal, uid: u, generation: 3}
        status: {observedGeneration: 2}
        spec:
        """
        + (spec + line + "\n").indent(2);
  }
}

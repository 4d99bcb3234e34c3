package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaPropsBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Objects that were stored before the definitions had bounds. The definitions are loosened for as
 * long as it takes to store them.
 */
class UnreadableObjectsTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final Path DEFINITIONS = Path.of("../crds/src/main/crds");
  private static final String LAYERS = "3000000000";

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private final String namespace = server.newNamespace();
  private final String clazz = "poison-" + namespace;

  @AfterEach
  void tightenAgain() {
    client
        .genericKubernetesResources("kvdrive.dev/v1alpha1", "InferenceClass")
        .withName(clazz)
        .delete();
    client
        .genericKubernetesResources("kvdrive.dev/v1alpha1", "InferenceDeployment")
        .inNamespace(namespace)
        .delete();
    tighten();
  }

  @Test
  void theBoundsRefuseWhatNoOperatorCouldRead() {
    assertThatThrownBy(() -> store(deployment("poison", LAYERS, "1Mi")))
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining("spec.model.geometry.layers");
    assertThatThrownBy(() -> store(deployment("poison", "2", "1e-999999999")))
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining("spec.model.geometry.weights");
  }

  @Test
  void oneThatIsStoredAllTheSameIsToldSoAndTheOthersAreServed() {
    loosen();
    store(deployment("poison", LAYERS, "1Mi"));
    store(deployment("slow", "2", "1e-999999999"));
    store(
        """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceClass
        metadata: {name: %s}
        spec: {limits: {replicas: 9999999999}}
        """
            .formatted(clazz));
    tighten();
    try (RunningOperator operator =
        new RunningOperator(
            server.newClient(), RunningOperator.watching("kvdrive-system", List.of(namespace)))) {
      client.resource(WrittenManifests.deployment("good", namespace, "")).create();
      client
          .resource(WrittenManifests.deployment("classed", namespace, "className: " + clazz))
          .create();

      awaitConditions("good", "Feasible", "True Fits");
      awaitConditions("poison", "Feasible", "False InvalidSpec");
      awaitConditions("slow", "Feasible", "False InvalidSpec");
      awaitConditions("classed", "Feasible", "False ClassInvalid");
      assertThat(conditions("poison"))
          .containsEntry("Ready", "False InvalidSpec")
          .containsEntry("Stalled", "True InvalidSpec");
      assertThat(message("poison"))
          .contains("spec.model.geometry.layers")
          .contains("4096")
          .contains(LAYERS);

      loosen();
      store(deployment("late", LAYERS, "1Mi"));
      awaitConditions("late", "Feasible", "False InvalidSpec");
      tighten();

      patch("poison", "{\"spec\":{\"model\":{\"geometry\":{\"layers\":2}}}}");
      awaitConditions("poison", "Feasible", "True Fits");
      patch("good", "{\"spec\":{\"contextLength\":8192}}");
      awaitGeneration("good", 2);
      assertThat(operator.isHealthy()).isTrue();
    }
  }

  private String deployment(String name, String layers, String weights) {
    return """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceDeployment
        metadata: {name: %s, namespace: %s}
        spec:
          model:
            uri: hf://acme/model
            geometry: {layers: %s, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, feedForward: 128,
                       vocabulary: 256, maxContext: 32768, weights: "%s"}
          contextLength: 16384
          tiers: {gpu: {memory: 96Mi}, dram: {size: 64Mi}, nvme: {size: 128Mi}}
        """
        .formatted(name, namespace, layers, weights);
  }

  private void store(String manifest) {
    GenericKubernetesResource object =
        client.getKubernetesSerialization().unmarshal(manifest, GenericKubernetesResource.class);
    client.resource(object).create();
  }

  private void patch(String name, String merge) {
    resource(name).patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private io.fabric8.kubernetes.client.dsl.Resource<GenericKubernetesResource> resource(
      String name) {
    return client
        .genericKubernetesResources("kvdrive.dev/v1alpha1", "InferenceDeployment")
        .inNamespace(namespace)
        .withName(name);
  }

  private void awaitConditions(String name, String type, String value) {
    await()
        .atMost(SOON)
        .untilAsserted(() -> assertThat(conditions(name)).containsEntry(type, value));
  }

  private void awaitGeneration(String name, long generation) {
    await()
        .atMost(SOON)
        .untilAsserted(
            () -> {
              Number observed = resource(name).get().get("status", "observedGeneration");
              assertThat(observed.longValue()).isEqualTo(generation);
            });
  }

  private String message(String name) {
    List<Map<String, Object>> conditions = resource(name).get().get("status", "conditions");
    return String.valueOf(conditions.getFirst().get("message"));
  }

  private Map<String, String> conditions(String name) {
    List<Map<String, Object>> conditions = resource(name).get().get("status", "conditions");
    Map<String, String> byType = new TreeMap<>();
    if (conditions != null) {
      conditions.forEach(
          c -> byType.put(String.valueOf(c.get("type")), c.get("status") + " " + c.get("reason")));
    }
    return byType;
  }

  /** Any specification may be stored. */
  private void loosen() {
    for (String plural : List.of("inferencedeployments", "inferenceclasses")) {
      CustomResourceDefinition definition = definition(plural);
      definition
          .getSpec()
          .getVersions()
          .getFirst()
          .getSchema()
          .getOpenAPIV3Schema()
          .getProperties()
          .put(
              "spec",
              new JSONSchemaPropsBuilder()
                  .withType("object")
                  .withXKubernetesPreserveUnknownFields(true)
                  .build());
      replace(definition);
    }
    await().atMost(SOON).until(() -> isStorable(LAYERS));
  }

  private void tighten() {
    for (String plural : List.of("inferencedeployments", "inferenceclasses")) {
      replace(definition(plural));
    }
    await().atMost(SOON).until(() -> !isStorable(LAYERS));
  }

  private boolean isStorable(String layers) {
    try {
      client
          .resource(
              client
                  .getKubernetesSerialization()
                  .unmarshal(deployment("probe", layers, "1Mi"), GenericKubernetesResource.class))
          .dryRun()
          .create();
      return true;
    } catch (KubernetesClientException e) {
      return false;
    }
  }

  private CustomResourceDefinition definition(String plural) {
    return client
        .apiextensions()
        .v1()
        .customResourceDefinitions()
        .load(DEFINITIONS.resolve(plural + ".kvdrive.dev.yaml").toFile())
        .item();
  }

  private void replace(CustomResourceDefinition definition) {
    client
        .apiextensions()
        .v1()
        .customResourceDefinitions()
        .withName(definition.getMetadata().getName())
        .edit(
            there -> {
              there.setSpec(definition.getSpec());
              return there;
            });
  }
}

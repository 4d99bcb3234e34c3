package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.RunningOperator;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the operator makes of the nodes' labels, with a real API server. */
class GpuNodesTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String CLASS = "cards-by-label";

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";

  @BeforeEach
  void nodes() {
    namespace = server.newNamespace();
    client.resource(node("gpu-1", "NVIDIA-H100-80GB-HBM3", "81559")).serverSideApply();
    client
        .resource(
            WrittenManifests.clazz(CLASS, "device: CUDA\nruntime: {nodeSelector: {pool: gpu}}"))
        .serverSideApply();
  }

  @AfterEach
  void noNodes() {
    client.resources(Node.class).withName("gpu-1").delete();
    client.resources(InferenceClass.class).withName(CLASS).delete();
  }

  @Test
  void aTierThatNoCardHoldsHasNoPodsAndSaysWhatFits() {
    try (RunningOperator operator =
        new RunningOperator(
            server.newClient(), RunningOperator.readingNodes("kvdrive-system", false))) {
      create("wide", "96Gi");
      create("narrow", "40Gi");

      await().atMost(SOON).until(() -> condition("narrow", "Feasible").isPresent());
      await().atMost(SOON).until(() -> condition("wide", "Feasible").isPresent());
      Condition refused = condition("wide", "Feasible").orElseThrow();
      assertThat(refused.getStatus()).isEqualTo("False");
      assertThat(refused.getReason()).isEqualTo("GpuTooSmall");
      assertThat(refused.getMessage())
          .contains(
              "tiers.gpu.memory is 96.0 GiB",
              "NVIDIA-H100-80GB-HBM3, has 79.6 GiB (81,559 MiB): 16.4 GiB too little",
              "With tiers.gpu.memory: 80384Mi it fits: weights 15.0 GiB");
      assertThat(condition("wide", "Ready").orElseThrow().getMessage())
          .isEqualTo(refused.getMessage());
      assertThat(client.apps().deployments().inNamespace(namespace).withName("wide").get())
          .isNull();
      assertThat(condition("narrow", "Feasible").orElseThrow().getStatus()).isEqualTo("True");
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(client.v1().events().inNamespace(namespace).list().getItems())
                      .anyMatch(e -> e.getMessage().equals(refused.getMessage())));
      assertThat(operator.registry().get("kvdrive.operator.nodes.readable").gauge().value())
          .isEqualTo(1);
    }
  }

  /** Without the right to read nodes only the class can say what a card has. */
  @Test
  void whoDoesNotReadNodesGoesByTheClass() {
    try (RunningOperator operator =
        new RunningOperator(
            server.newClient(), RunningOperator.properties("kvdrive-system", false))) {
      assertThat(operator).isNotNull();
      create("wide", "96Gi");

      await().atMost(SOON).until(() -> condition("wide", "Feasible").isPresent());
      assertThat(condition("wide", "Feasible").orElseThrow().getStatus()).isEqualTo("True");

      client
          .resource(WrittenManifests.clazz(CLASS, "device: CUDA\ngpu: {memory: 80Gi}"))
          .forceConflicts()
          .serverSideApply();
      await()
          .atMost(SOON)
          .until(
              () ->
                  condition("wide", "Feasible")
                      .filter(c -> c.getReason().equals("GpuTooSmall"))
                      .isPresent());
    }
  }

  private void create(String name, String gpu) {
    client
        .resource(
            WrittenManifests.written(
                name,
                namespace,
                """
                className: %s
                model: {uri: "hf://gradientai/Llama-3-8B-Instruct-Gradient-1048k"}
                contextLength: 131072
                tiers:
                  gpu: {memory: %s}
                  dram: {size: 32Gi}
                """
                    .formatted(CLASS, gpu)))
        .create();
  }

  private Optional<Condition> condition(String name, String type) {
    InferenceDeployment deployment =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
    return deployment.getStatus() == null
        ? Optional.empty()
        : Objects.requireNonNullElse(deployment.getStatus().conditions(), List.<Condition>of())
            .stream()
            .filter(c -> c.getType().equals(type) && !c.getReason().equals("Pending"))
            .findFirst();
  }

  private static Node node(String name, String product, String mebibytes) {
    return new NodeBuilder()
        .withNewMetadata()
        .withName(name)
        .withLabels(
            Map.of(
                "pool", "gpu",
                "nvidia.com/gpu.product", product,
                "nvidia.com/gpu.memory", mebibytes))
        .endMetadata()
        .build();
  }
}

package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.observed.Labels;
import io.fabric8.kubernetes.api.model.autoscaling.v1.Scale;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Autoscalers find deployments by their scale, and ask for metrics that the runtimes have. */
class AutoscalingTest {
  private static final Path EXAMPLES = Path.of("../examples/autoscaling");
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final Pattern METRIC = Pattern.compile("(kvdrive_|vllm:)[a-z_]+");
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final KubernetesSerialization YAML = new KubernetesSerialization();

  static Stream<Path> examples() throws IOException {
    try (Stream<Path> files = Files.list(EXAMPLES)) {
      return files.sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("examples")
  void everyQueryAsksForMetricsThatAreDocumented(Path example) throws IOException {
    Set<String> documented =
        Pattern.compile("^\\| `([^`]+)`", Pattern.MULTILINE)
            .matcher(Files.readString(Path.of("../docs/metrics.md")))
            .results()
            .map(found -> found.group(1))
            .collect(Collectors.toSet());
    List<String> queries = new ArrayList<>();
    for (JsonNode object : objects(example)) {
      rules(object)
          .forEach(
              rule -> {
                queries.add(rule.path("seriesQuery").asText());
                queries.add(rule.path("metricsQuery").asText());
              });
      object
          .at("/spec/triggers")
          .forEach(trigger -> queries.add(trigger.at("/metadata/query").asText()));
    }

    assertThat(queries).isNotEmpty();
    for (String query : queries) {
      assertThat(documented)
          .as(query)
          .containsAll(
              METRIC
                  .matcher(query)
                  .results()
                  .map(found -> found.group().replaceFirst("_(bucket|count|sum)$", ""))
                  .toList());
    }
  }

  @Test
  void theAutoscalerAsksForWhatTheAdapterServes() throws IOException {
    Set<String> served = new TreeSet<>();
    Set<String> asked = new TreeSet<>();
    for (JsonNode object : objects(EXAMPLES.resolve("hpa.yaml"))) {
      rules(object).forEach(rule -> served.add(rule.at("/name/as").asText()));
      object
          .at("/spec/metrics")
          .forEach(metric -> asked.add(metric.at("/pods/metric/name").asText()));
    }

    assertThat(asked).hasSize(3).isEqualTo(served);
  }

  @ParameterizedTest
  @MethodSource("examples")
  void everyAutoscalerScalesTheDeploymentBesideIt(Path example) throws IOException {
    JsonNode deployment =
        objects(example).stream()
            .filter(object -> object.path("kind").asText().equals("InferenceDeployment"))
            .findFirst()
            .orElseThrow();
    assertThat(deployment.path("spec").has("replicas")).as("they are the autoscaler's").isFalse();
    String name = deployment.at("/metadata/name").asText();
    int seats = deployment.at("/spec/concurrency").asInt();

    List<JsonNode> scalers =
        objects(example).stream()
            .filter(object -> !object.at("/spec/scaleTargetRef").isMissingNode())
            .toList();
    assertThat(scalers)
        .singleElement()
        .satisfies(
            scaler -> {
              JsonNode target = scaler.at("/spec/scaleTargetRef");
              assertThat(target.path("apiVersion").asText()).isEqualTo("kvdrive.dev/v1alpha1");
              assertThat(target.path("kind").asText()).isEqualTo("InferenceDeployment");
              assertThat(target.path("name").asText()).isEqualTo(name);
              scaler
                  .at("/spec/triggers")
                  .forEach(
                      trigger -> {
                        assertThat(trigger.path("metadata").toString()).contains(name);
                        assertThat(trigger.at("/metadata/threshold").asDouble()).isLessThan(seats);
                      });
            });
    objects(example).stream()
        .filter(object -> object.path("kind").asText().equals("InterceptorRoute"))
        .forEach(
            route -> {
              assertThat(route.at("/spec/target/service").asText()).isEqualTo(name);
              assertThat(route.at("/spec/scalingMetric/concurrency/targetValue").asInt())
                  .isLessThan(seats);
              assertThat(deployment.at("/spec/access/fromNamespaces").toString()).contains("keda");
            });
  }

  @Test
  void aScaleIsCarriedOutAndItsStatusSaysWhichPods() {
    ApiServer server = ApiServer.get();
    KubernetesClient client = server.client();
    String namespace = server.newNamespace();
    Resource<InferenceDeployment> deployment =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName("scaled");
    var workload = client.apps().deployments().inNamespace(namespace).withName("scaled");
    try (RunningOperator operator =
        new RunningOperator(
            server.newClient(), RunningOperator.watching("kvdrive-system", List.of(namespace)))) {
      assertThat(operator).isNotNull();
      client.resource(WrittenManifests.deployment("scaled", namespace, "")).create();
      await().atMost(SOON).until(() -> workload.get() != null);

      deployment.scale(3);

      await().atMost(SOON).until(() -> workload.get().getSpec().getReplicas() == 3);
      workload
          .subresource("status")
          .patch(PatchContext.of(PatchType.JSON_MERGE), "{\"status\":{\"replicas\":2}}");
      await()
          .atMost(SOON)
          .untilAsserted(
              () -> {
                Scale scale = deployment.scale();
                assertThat(scale.getSpec().getReplicas()).isEqualTo(3);
                assertThat(scale.getStatus().getReplicas()).isEqualTo(2);
                assertThat(scale.getStatus().getSelector().split(","))
                    .containsExactlyInAnyOrder(
                        Labels.selector("scaled").entrySet().stream()
                            .map(label -> label.getKey() + "=" + label.getValue())
                            .toArray(String[]::new));
              });

      deployment.scale(0);

      await().atMost(SOON).until(() -> workload.get().getSpec().getReplicas() == 0);
    }
  }

  /** The rules of prometheus-adapter, if {@code object} is its configuration. */
  private static List<JsonNode> rules(JsonNode object) {
    List<JsonNode> rules = new ArrayList<>();
    JsonNode text = object.at("/data/config.yaml");
    if (!text.isMissingNode()) {
      YAML.unmarshal(text.asText(), JsonNode.class).path("rules").forEach(rules::add);
    }
    return rules;
  }

  private static List<JsonNode> objects(Path example) throws IOException {
    List<JsonNode> objects = new ArrayList<>();
    for (String document : Files.readString(example).split("\n---\n", -1)) {
      objects.add(JSON.valueToTree(YAML.unmarshal(document, JsonNode.class)));
    }
    return objects;
  }
}

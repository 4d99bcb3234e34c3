package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubeapitest.KubeAPIServer;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models in images, on API servers that know volumes of images and on one that drops them. */
class ModelImageTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  private static final Duration SETTLED = Duration.ofSeconds(3);
  private static final String NAME = "endpoint";
  private static final String SCRIPT = "../images/model.sh";
  private static final String IMAGE = "registry.example.com/models/tiny:1";

  @ParameterizedTest
  @ValueSource(strings = {"Ephemeral", "Retain"})
  void isAVolumeOfThePods(String reclaim) {
    ApiServer server = ApiServer.get();
    String namespace = server.newNamespace();
    KubernetesClient client = server.client();
    try (RunningOperator operator =
        new RunningOperator(
            server.newClient(), RunningOperator.withoutRoutes(List.of(namespace)))) {
      assertThat(operator).isNotNull();
      deploy(client, namespace, reclaim);
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(conditions(client, namespace))
                      .anySatisfy(c -> assertThat(c).startsWith("ModelAvailable Loading")));

      assertThat(volumes(client, namespace))
          .filteredOn(volume -> volume.getName().equals("model"))
          .extracting(volume -> volume.getImage().getReference())
          .containsExactly(IMAGE);
    }
  }

  @Test
  void anApiServerThatDropsTheVolumeIsNamedWithTheWayOut() {
    KubeAPIServer server = ApiServer.startEmpty();
    try (KubernetesClient client = client(server)) {
      ApiServer.define(client);
      String namespace = "models";
      client
          .resource(
              new NamespaceBuilder().withNewMetadata().withName(namespace).endMetadata().build())
          .create();
      Config config = Config.fromKubeconfig(server.getKubeConfigYaml());
      try (RunningOperator operator =
          new RunningOperator(
              OperatorBeans.client(config), RunningOperator.withoutRoutes(List.of(namespace)))) {
        assertThat(operator).isNotNull();
        deploy(client, namespace, "Ephemeral");
        // The operator looks again when the server has told it of what it made, and says the same.
        await()
            .atMost(SOON)
            .during(SETTLED)
            .untilAsserted(
                () ->
                    assertThat(conditions(client, namespace))
                        .anySatisfy(c -> assertThat(c).startsWith("Ready ImageVolumesUnsupported"))
                        .anySatisfy(
                            c -> assertThat(c).startsWith("Stalled ImageVolumesUnsupported")));

        Condition ready = condition(client, namespace, "Ready").orElseThrow();
        assertThat(ready.getMessage())
            .contains(IMAGE, "--feature-gates=ImageVolume=true", "pvc://CLAIM/PATH");
      }
    } finally {
      server.stop();
    }
  }

  /** The image is made by a script, and its bytes depend on nothing but the files. */
  @Test
  void theSameFilesMakeTheSameImage(@TempDir Path folder) throws Exception {
    Assumptions.assumeTrue(hasJq(), "jq is not on the PATH");
    Path model = Files.writeString(folder.resolve("m.gguf"), "weights");
    Files.writeString(folder.resolve("m.gguf.kvdrive-index.safetensors"), "calibration");
    Path first = folder.resolve("first");
    Path second = folder.resolve("second");

    assertThat(run(SCRIPT, first.toString(), model.toString())).isZero();
    Files.setLastModifiedTime(model, FileTime.fromMillis(1_000_000));
    Files.setPosixFilePermissions(model, PosixFilePermissions.fromString("rw-------"));
    assertThat(run(SCRIPT, second.toString(), model.toString())).isZero();

    assertThat(contents(second)).isEqualTo(contents(first));
    for (Map.Entry<String, String> blob : contents(first).entrySet()) {
      if (blob.getKey().startsWith("blobs/sha256/")) {
        assertThat(blob.getKey()).endsWith("/" + blob.getValue());
      }
    }
    JsonNode index = json(first.resolve("index.json")).at("/manifests/0");
    JsonNode images = json(blob(first, index));
    assertThat(images.at("/manifests").findValuesAsText("architecture"))
        .containsExactly("amd64", "arm64");
    JsonNode layers = json(blob(first, images.at("/manifests/0"))).at("/layers");
    assertThat(layers.size()).isEqualTo(1);
    String layer = Files.readString(blob(first, layers.get(0)));
    assertThat(layer)
        .contains("m.gguf", "weights", "m.gguf.kvdrive-index.safetensors", "calibration");
    assertThat(run(SCRIPT, second.toString(), model.toString()))
        .as("a layout that is there already")
        .isEqualTo(1);
    assertThat(run(SCRIPT, folder.resolve("third").toString(), "no.gguf")).isEqualTo(1);
    assertThat(folder.resolve("third")).doesNotExist();
  }

  private static boolean hasJq() throws InterruptedException {
    try {
      return run("jq", "--version") == 0;
    } catch (IOException e) {
      return false;
    }
  }

  private static int run(String... command) throws IOException, InterruptedException {
    return new ProcessBuilder(command)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(ProcessBuilder.Redirect.DISCARD)
        .start()
        .waitFor();
  }

  private static JsonNode json(Path file) throws IOException {
    return Serialization.unmarshal(Files.readString(file), JsonNode.class);
  }

  private static Path blob(Path layout, JsonNode descriptor) {
    return layout.resolve("blobs").resolve(descriptor.at("/digest").asText().replace(':', '/'));
  }

  /** The sum of each file, by its path. */
  private static Map<String, String> contents(Path layout) throws Exception {
    Map<String, String> sums = new TreeMap<>();
    try (Stream<Path> files = Files.walk(layout)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        sums.put(
            layout.relativize(file).toString(),
            HexFormat.of()
                .formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file))));
      }
    }
    return sums;
  }

  private static KubernetesClient client(KubeAPIServer server) {
    return new KubernetesClientBuilder()
        .withConfig(Config.fromKubeconfig(server.getKubeConfigYaml()))
        .build();
  }

  private static void deploy(KubernetesClient client, String namespace, String reclaim) {
    InferenceDeployment deployment =
        WrittenManifests.deployment(
            NAME,
            namespace,
            """
            contextLength: 16384
            tiers:
              gpu: {memory: 64Mi}
              dram: {size: 64Mi}
              nvme: {size: 512Mi, reclaim: %s}
            """
                .formatted(reclaim),
            "");
    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                "oci://" + IMAGE + "#model.gguf",
                WrittenManifests.geometry(2),
                null,
                null,
                null,
                null)));
    client.resource(deployment).create();
  }

  private static List<Volume> volumes(KubernetesClient client, String namespace) {
    return Optional.ofNullable(
            client.apps().deployments().inNamespace(namespace).withName(NAME).get())
        .map(d -> d.getSpec().getTemplate())
        .or(
            () ->
                Optional.ofNullable(
                        client.apps().statefulSets().inNamespace(namespace).withName(NAME).get())
                    .map(s -> s.getSpec().getTemplate()))
        .map(template -> template.getSpec().getVolumes())
        .orElse(List.of());
  }

  /** Type, reason and message of each condition. */
  private static List<String> conditions(KubernetesClient client, String namespace) {
    var status =
        client
            .resources(InferenceDeployment.class)
            .inNamespace(namespace)
            .withName(NAME)
            .get()
            .getStatus();
    return status == null || status.conditions() == null
        ? List.of()
        : status.conditions().stream()
            .map(c -> "%s %s: %s".formatted(c.getType(), c.getReason(), c.getMessage()))
            .toList();
  }

  private static Optional<Condition> condition(
      KubernetesClient client, String namespace, String type) {
    var status =
        client
            .resources(InferenceDeployment.class)
            .inNamespace(namespace)
            .withName(NAME)
            .get()
            .getStatus();
    return status == null || status.conditions() == null
        ? Optional.empty()
        : status.conditions().stream().filter(c -> c.getType().equals(type)).findFirst();
  }
}

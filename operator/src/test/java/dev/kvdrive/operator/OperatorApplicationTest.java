package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.boot.web.server.reactive.context.ReactiveWebServerApplicationContext;

/**
 * The program as the chart starts it: configuration in, health, metrics and a reconciled resource
 * out.
 */
@ExtendWith(OutputCaptureExtension.class)
class OperatorApplicationTest {
  private static final String KUBECONFIG = "kubeconfig";

  @TempDir private Path folder = Path.of("");
  private final HttpClient http = HttpClient.newHttpClient();

  @BeforeEach
  void kubeconfig() throws IOException {
    Path file = folder.resolve("kubeconfig");
    Files.writeString(file, ApiServer.get().kubeconfig());
    System.setProperty(KUBECONFIG, file.toString());
  }

  @AfterEach
  void forget() {
    System.clearProperty(KUBECONFIG);
  }

  @Test
  void leadsReconcilesAndReportsItself() throws Exception {
    KubernetesClient client = ApiServer.get().client();
    String namespace = ApiServer.get().newNamespace();
    try (var context = start(namespace)) {
      client.resource(WrittenManifests.deployment("endpoint", namespace, "")).create();

      await()
          .atMost(Duration.ofSeconds(60))
          .until(
              () -> {
                InferenceDeployment seen =
                    client
                        .resources(InferenceDeployment.class)
                        .inNamespace(namespace)
                        .withName("endpoint")
                        .get();
                return seen.getStatus() != null;
              });
      assertThat(client.leases().inNamespace(namespace).withName("kvdrive-operator").get())
          .isNotNull();
      int port = Objects.requireNonNull(context.getWebServer()).getPort();
      assertThat(get(port, "/health/liveness").body()).contains("UP");
      assertThat(get(port, "/health/readiness").body()).contains("UP");
      assertThat(get(port, "/metrics").body())
          .contains("operator_sdk_reconciliations")
          .contains("application=\"kvdrive-operator\"");
      assertThat(get(port, "/env").statusCode()).isEqualTo(404);
      assertThat(ownMetrics(get(port, "/metrics").body())).isEqualTo(documentedMetrics());
    }
  }

  /** What fails again and again is tried again and again, and said once. */
  @Test
  void oneRefusedDeploymentIsOneLineInTheLog(CapturedOutput output) throws Exception {
    KubernetesClient client = ApiServer.get().client();
    String namespace = ApiServer.get().newNamespace();
    try (var context = start(namespace)) {
      client
          .resource(
              WrittenManifests.deployment(
                  "refused", namespace, "runtime: {labels: {team: 'not a label value!'}}"))
          .create();
      int port = Objects.requireNonNull(context.getWebServer()).getPort();

      await().atMost(Duration.ofSeconds(60)).until(() -> failed(get(port, "/metrics").body()) >= 3);

      String said = output.getAll();
      assertThat(said.lines().filter(line -> line.contains("not a label value!")))
          .singleElement()
          .satisfies(
              line ->
                  assertThat(line)
                      .contains("InferenceDeployment " + namespace + "/refused: ObjectRefused"));
      assertThat(said).doesNotContain("Uncaught error").doesNotContain("\tat ");
    }
  }

  private static double failed(String scrape) {
    return Pattern.compile("^operator_sdk_reconciliations_failed\\S* (\\S+)$", Pattern.MULTILINE)
        .matcher(scrape)
        .results()
        .mapToDouble(found -> Double.parseDouble(found.group(1)))
        .sum();
  }

  private ReactiveWebServerApplicationContext start(String namespace) throws IOException {
    Path configuration = folder.resolve("operator.yaml");
    Files.writeString(
        configuration,
        """
        kvdrive:
          operator:
            namespace: %1$s
            watch-namespaces: ["%1$s"]
            classes: true
            nodes: true
            monitoring-namespaces: []
            runtime:
              image: "kvdrive/runtime:test"
              cuda-image: "kvdrive/runtime-cuda:test"
              image-pull-policy: "IfNotPresent"
              image-pull-secrets: []
              user-id: 65532
        """
            .formatted(namespace));
    return (ReactiveWebServerApplicationContext)
        SpringApplication.run(
            OperatorApplication.class,
            "--spring.config.additional-location=file:" + configuration,
            "--server.port=0");
  }

  private static Set<String> ownMetrics(String scrape) {
    return Pattern.compile("^# TYPE (kvdrive_\\S+) ", Pattern.MULTILINE)
        .matcher(scrape)
        .results()
        .map(found -> found.group(1))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /** Those of the page's part about the operator. */
  private static Set<String> documentedMetrics() throws IOException {
    return Pattern.compile("^\\| `(kvdrive_[^`]+)`", Pattern.MULTILINE)
        .matcher(Files.readString(Path.of("../docs/metrics.md")).split("\n## The operator\n", 2)[1])
        .results()
        .map(found -> found.group(1))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private HttpResponse<String> get(int port, String path) throws IOException, InterruptedException {
    return http.send(
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path)).build(),
        HttpResponse.BodyHandlers.ofString());
  }
}

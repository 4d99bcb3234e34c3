package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.sun.net.httpserver.HttpServer;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.RunningOperator;
import dev.kvdrive.operator.desired.DesiredObjects;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.DeploymentBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A changed specification waits for a pod that says how many requests it has. */
class IdleRolloutTest {
  private static final Duration SOON = Duration.ofSeconds(40);
  private static final String NAME = "endpoint";

  /** Its own loopback address: the port of a pod is fixed. */
  private static final String POD_ADDRESS = "127.0.0.77";

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private final HttpServer pod;
  private volatile int requests = 1;
  private String namespace = "";

  IdleRolloutTest() throws IOException {
    pod =
        HttpServer.create(
            new InetSocketAddress(InetAddress.getByName(POD_ADDRESS), DesiredObjects.RUNTIME_PORT),
            0);
  }

  @BeforeEach
  void serve() {
    namespace = server.newNamespace();
    pod.createContext(
        "/metrics",
        exchange -> {
          byte[] bytes =
              "kvdrive_requests_running %d\nkvdrive_requests_waiting 0\n"
                  .formatted(requests)
                  .getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, bytes.length);
          exchange.getResponseBody().write(bytes);
          exchange.close();
        });
    pod.start();
  }

  @AfterEach
  void stop() {
    pod.stop(0);
  }

  @Test
  void whatRunsStaysUntilNoRequestRuns() {
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      serving("rollout: WhenIdle");
      String before = configuration();

      change();

      await().atMost(SOON).until(() -> condition("RolloutWaiting").isPresent());
      assertThat(condition("RuntimeReady").orElseThrow())
          .satisfies(
              c -> {
                assertThat(c.getStatus()).isEqualTo("False");
                assertThat(c.getReason()).isEqualTo("WaitsForIdle");
                assertThat(c.getMessage())
                    .contains("until no request runs or waits", "runtime.idleTimeoutSeconds");
                assertThat(condition("Ready").orElseThrow().getMessage()).isEqualTo(c.getMessage());
              });
      assertThat(configuration()).isEqualTo(before);

      requests = 0;

      await().atMost(SOON).until(() -> !configuration().equals(before));
      await().atMost(SOON).until(() -> condition("RolloutWaiting").isEmpty());
    }
  }

  @Test
  void itWaitsNoLongerThanItsTimeout() {
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      serving("rollout: WhenIdle, idleTimeoutSeconds: 5");
      String before = configuration();

      change();

      await().atMost(SOON).until(() -> condition("RolloutWaiting").isPresent());
      assertThat(configuration()).isEqualTo(before);
      await().atMost(SOON).until(() -> !configuration().equals(before));
    }
  }

  @Test
  void whoDoesNotAskForItIsReplacedAtOnce() {
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      serving("rollout: InPlace");
      String before = configuration();

      change();

      await().atMost(SOON).until(() -> !configuration().equals(before));
      assertThat(condition("RolloutWaiting")).isEmpty();
    }
  }

  private RunningOperator operator() {
    return new RunningOperator(
        server.newClient(), RunningOperator.watching("kvdrive-system", List.of(namespace)));
  }

  /** A deployment whose one pod is ready. */
  private void serving(String runtime) {
    client
        .resource(
            WrittenManifests.deployment(
                NAME,
                namespace,
                """
                contextLength: 16384
                tiers: {gpu: {memory: 64Mi}, dram: {size: 256Mi}}
                """,
                "runtime: {%s}".formatted(runtime)))
        .create();
    await().atMost(SOON).until(() -> workload() != null);
    Deployment workload = workload();
    Pod made =
        client
            .resource(
                new PodBuilder()
                    .withNewMetadata()
                    .withName(NAME + "-1")
                    .withNamespace(namespace)
                    .withLabels(workload.getSpec().getTemplate().getMetadata().getLabels())
                    .withAnnotations(
                        workload.getSpec().getTemplate().getMetadata().getAnnotations())
                    .endMetadata()
                    .withSpec(workload.getSpec().getTemplate().getSpec())
                    .build())
            .create();
    client
        .resource(made)
        .editStatus(
            found ->
                new PodBuilder(found)
                    .withNewStatus()
                    .withPhase("Running")
                    .withPodIP(POD_ADDRESS)
                    .addNewCondition()
                    .withType("Ready")
                    .withStatus("True")
                    .endCondition()
                    .endStatus()
                    .build());
    await()
        .atMost(SOON)
        .ignoreExceptionsMatching(
            e -> e instanceof KubernetesClientException conflict && conflict.getCode() == 409)
        .until(
            () ->
                client
                        .apps()
                        .deployments()
                        .inNamespace(namespace)
                        .withName(NAME)
                        .editStatus(
                            deployment ->
                                new DeploymentBuilder(deployment)
                                    .withNewStatus()
                                    .withObservedGeneration(
                                        deployment.getMetadata().getGeneration())
                                    .withReplicas(1)
                                    .withUpdatedReplicas(1)
                                    .withReadyReplicas(1)
                                    .withAvailableReplicas(1)
                                    .endStatus()
                                    .build())
                    != null);
    await()
        .atMost(SOON)
        .until(
            () -> condition("RuntimeReady").filter(c -> c.getStatus().equals("True")).isPresent());
  }

  private void change() {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName(NAME)
        .patch(PatchContext.of(PatchType.JSON_MERGE), "{\"spec\":{\"contextLength\":8192}}");
  }

  private Deployment workload() {
    return client.apps().deployments().inNamespace(namespace).withName(NAME).get();
  }

  private String configuration() {
    Map<String, String> annotations =
        workload().getSpec().getTemplate().getMetadata().getAnnotations();
    return annotations.getOrDefault("kvdrive.dev/config-hash", "");
  }

  private Optional<Condition> condition(String type) {
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

package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.feasibility.Assessor;
import dev.kvdrive.operator.feasibility.GeometryCatalogue;
import dev.kvdrive.operator.feasibility.OperatorDefaults;
import dev.kvdrive.operator.status.StatusAggregator;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.Operator;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ReconcilerTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static Operator operator;
  private static KubernetesClient client;
  private String namespace = "";

  @BeforeAll
  static void start() {
    ApiServer server = ApiServer.get();
    client = server.client();
    operator = new Operator(o -> o.withKubernetesClient(server.newClient()));
    operator.register(
        new InferenceDeploymentReconciler(
            new Assessor(
                GeometryCatalogue.wellKnown(),
                new OperatorDefaults(
                    "kvdrive/runtime:test",
                    PullPolicy.IF_NOT_PRESENT,
                    List.of(),
                    65532L,
                    Set.of("kvdrive-system"))),
            new StatusAggregator(Clock.systemUTC()),
            true));
    operator.start();
  }

  @AfterAll
  static void stop() {
    if (operator != null) {
      operator.stop();
    }
  }

  @BeforeEach
  void namespace() {
    namespace = ApiServer.get().newNamespace();
  }

  @Test
  void aSmallDeploymentGetsItsObjectsAndAStatus() {
    apply("smallest", "contextLength: 16384");
    await()
        .atMost(SOON)
        .untilAsserted(
            () -> assertThat(condition("smallest", "Feasible").getStatus()).isEqualTo("True"));
    assertThat(objects("smallest")).hasSize(5);
  }

  private List<HasMetadata> objects(String name) {
    List<HasMetadata> objects = new ArrayList<>();
    for (Class<? extends HasMetadata> type :
        List.of(
            ConfigMap.class,
            ServiceAccount.class,
            Service.class,
            NetworkPolicy.class,
            Deployment.class)) {
      objects.addAll(
          client
              .resources(type)
              .inNamespace(namespace)
              .withLabel("app.kubernetes.io/instance", name)
              .list()
              .getItems());
    }
    return objects;
  }

  private void apply(String name, String spec) {
    String yaml =
        """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceDeployment
        metadata:
          name: %s
          namespace: %s
        spec:
          model:
            uri: builtin:kvdrive-tiny-32k
          tiers:
            gpu: {memory: 64Mi}
            dram: {size: 64Mi}
            nvme: {size: 512Mi}
        """
                .formatted(name, namespace)
            + spec.indent(2);
    client
        .resource(yaml)
        .fieldValidation(io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation.STRICT)
        .serverSideApply();
  }

  private InferenceDeployment get(String name) {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
  }

  private Condition condition(String name, String type) {
    InferenceDeployment found = get(name);
    assertThat(found.getStatus()).isNotNull();
    return Objects.requireNonNull(found.getStatus().conditions()).stream()
        .filter(c -> c.getType().equals(type))
        .findFirst()
        .orElseThrow();
  }
}

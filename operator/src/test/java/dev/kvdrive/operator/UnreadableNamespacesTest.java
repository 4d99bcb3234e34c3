package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.rbac.ClusterRoleBinding;
import io.fabric8.kubernetes.api.model.rbac.RoleBinding;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** With the chart's roles: what cannot be read concerns only those who are in it. */
class UnreadableNamespacesTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final String ACCOUNT = "kvdrive-operator";

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String system = "";
  private String served = "";
  private String other = "";

  @BeforeEach
  void namespaces() {
    system = server.newNamespace();
    served = server.newNamespace();
    other = served + "-other";
  }

  @Test
  void aNamespaceThatComesLaterIsServedWithoutARestart() {
    List<HasMetadata> chart = chart();
    chart.stream().filter(object -> !isIn(other, object)).forEach(this::apply);

    try (RunningOperator operator = operator()) {
      deploy(served);
      awaitFeasible(served);
      assertThat(readable(operator, served)).isEqualTo(1);
      assertThat(readable(operator, other)).isZero();
      assertThat(operator.isHealthy()).isTrue();

      server.ensureNamespace(other);
      chart.stream().filter(object -> isIn(other, object)).forEach(this::apply);
      deploy(other);

      awaitFeasible(other);
      await().atMost(SOON).until(() -> readable(operator, other) == 1);
    }
  }

  @Test
  void aNamespaceWhoseRoleIsTakenAwayStopsNobodyElseAtTheNextStart() {
    server.ensureNamespace(other);
    List<HasMetadata> chart = chart();
    chart.forEach(this::apply);
    chart.stream()
        .filter(object -> object instanceof RoleBinding && isIn(other, object))
        .forEach(binding -> client.resource(binding).delete());

    try (RunningOperator operator = operator()) {
      deploy(served);
      awaitFeasible(served);
      assertThat(readable(operator, other)).isZero();
      assertThat(operator.isHealthy()).isTrue();
    }
  }

  /** Although its watches stay open for minutes. */
  @Test
  void aNamespaceWhoseRoleIsTakenAwayIsUnreadableSoonAndReadableAgain() {
    server.ensureNamespace(other);
    List<HasMetadata> chart = chart();
    chart.forEach(this::apply);
    HasMetadata binding =
        chart.stream()
            .filter(object -> object instanceof RoleBinding && isIn(other, object))
            .findFirst()
            .orElseThrow();

    try (RunningOperator operator = operator()) {
      await().atMost(SOON).until(() -> readable(operator, other) == 1);

      client.resource(binding).delete();
      await().atMost(SOON).until(() -> readable(operator, other) == 0);
      assertThat(readable(operator, served)).isEqualTo(1);

      apply(binding);
      await().atMost(SOON).until(() -> readable(operator, other) == 1);
    }
  }

  /** Who may not see the rules must not act as if there were none. */
  @Test
  void nothingIsJudgedWithoutTheClassesAndAllIsOnceTheyCanBeRead() {
    server.ensureNamespace(other);
    List<HasMetadata> chart = chart();
    chart.stream().filter(object -> !isBindingOfClasses(object)).forEach(this::apply);
    // Installations of other tests let every account read classes.
    client.rbac().clusterRoleBindings().list().getItems().stream()
        .filter(binding -> binding.getMetadata().getName().endsWith("-classes-view"))
        .forEach(binding -> client.resource(binding).delete());

    try (RunningOperator operator = operator()) {
      deploy(served);
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(feasible(served))
                      .hasValueSatisfying(
                          c -> assertThat(c.getReason()).isEqualTo("ClassesUnreadable")));
      assertThat(operator.registry().get("kvdrive.operator.classes.readable").gauge().value())
          .isZero();
      assertThat(client.services().inNamespace(served).withName("endpoint").get()).isNull();

      chart.stream().filter(UnreadableNamespacesTest::isBindingOfClasses).forEach(this::apply);

      awaitFeasible(served);
      assertThat(operator.isHealthy()).isTrue();
    }
  }

  /** As with the roles of a chart that knew no routes. */
  @Test
  void withoutTheRightToRoutesOnlyDeploymentsWithARouteFail() {
    ApiServer.installGatewayApi(client);
    server.ensureNamespace(other);
    chart("routes.enabled=false").forEach(this::apply);

    try (RunningOperator operator = operator()) {
      deploy(served);
      client
          .resource(
              WrittenManifests.deployment("routed", served, "route: {parentRefs: [{name: g}]}"))
          .create();

      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(condition(served, "routed", "Ready"))
                      .hasValueSatisfying(
                          ready -> {
                            assertThat(ready.getReason()).isEqualTo("ReconcileFailed");
                            assertThat(ready.getMessage()).contains("httproutes", "forbidden");
                          }));
      awaitFeasible(served);
      await()
          .atMost(SOON)
          .until(() -> client.services().inNamespace(served).withName("endpoint").get() != null);
      assertThat(condition(served, "endpoint", "RouteReady")).isEmpty();
      assertThat(readable(operator, served)).isEqualTo(1);
      assertThat(operator.isHealthy()).isTrue();
    }
  }

  private RunningOperator operator() {
    return new RunningOperator(
        server.newClientAs(system, ACCOUNT),
        RunningOperator.watching(system, List.of(served, other)));
  }

  private List<HasMetadata> chart() {
    return chart("routes.enabled=true");
  }

  private List<HasMetadata> chart(String value) {
    String rendered =
        Helm.run(
                "helm",
                "template",
                "kvdrive",
                Helm.CHART.toString(),
                "--namespace",
                system,
                "--kube-version",
                "1.34.4",
                "--set",
                "crds.install=false",
                "--set",
                "rbac.classReaders=null",
                "--set",
                value,
                "--set",
                "watch.namespaces={%s,%s}".formatted(served, other))
            .output();
    return client.load(new ByteArrayInputStream(rendered.getBytes(StandardCharsets.UTF_8))).items();
  }

  private void apply(HasMetadata object) {
    client.resource(object).forceConflicts().serverSideApply();
  }

  private void deploy(String namespace) {
    client.resource(WrittenManifests.deployment("endpoint", namespace, "")).create();
  }

  private void awaitFeasible(String namespace) {
    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(feasible(namespace))
                    .hasValueSatisfying(c -> assertThat(c.getStatus()).isEqualTo("True")));
  }

  private Optional<Condition> feasible(String namespace) {
    return condition(namespace, "endpoint", "Feasible");
  }

  private Optional<Condition> condition(String namespace, String name, String type) {
    InferenceDeployment deployment =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
    return deployment.getStatus() == null || deployment.getStatus().conditions() == null
        ? Optional.empty()
        : deployment.getStatus().conditions().stream()
            .filter(condition -> condition.getType().equals(type))
            .findFirst();
  }

  private static double readable(RunningOperator operator, String namespace) {
    return operator
        .registry()
        .get("kvdrive.operator.namespace.readable")
        .tag("namespace", namespace)
        .gauge()
        .value();
  }

  private static boolean isIn(String namespace, HasMetadata object) {
    return namespace.equals(object.getMetadata().getNamespace());
  }

  private static boolean isBindingOfClasses(HasMetadata object) {
    return object instanceof ClusterRoleBinding
        && object.getMetadata().getName().endsWith("-classes");
  }
}

package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.desired.InferencePool;
import io.fabric8.kubeapitest.KubeAPIServer;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * Routes on a server of their own, whose Gateway API comes and goes; its definitions are those that
 * the projects publish. What a Gateway would say the test says.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class RouteTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  /**
   * The API server lets go of five definitions at a time, each of which it may look at for a minute
   * before it begins anew.
   */
  private static final Duration REMOVAL = Duration.ofMinutes(5);

  private static final String NAME = "endpoint";
  private static final String ROUTE =
      """
      route:
        parentRefs: [{name: public, namespace: gateways, sectionName: https}]
        hostnames: [llm.example.com]
        pathPrefix: /legal
      """;

  private static final String POOL =
      "  inferencePool: {endpointPickerRef: {name: picker, port: 9002}}\n";

  private static KubeAPIServer server;
  private static KubernetesClient client;
  private static int namespaces;
  private String namespace = "";

  @BeforeAll
  static void start() {
    server = ApiServer.startEmpty();
    client =
        new KubernetesClientBuilder()
            .withConfig(Config.fromKubeconfig(server.getKubeConfigYaml()))
            .build();
    ApiServer.define(client);
  }

  @AfterAll
  static void stop() {
    if (server != null) {
      client.close();
      server.stop();
    }
  }

  @BeforeEach
  void namespace() {
    namespace = "routes-" + ++namespaces;
    client
        .resource(
            new NamespaceBuilder().withNewMetadata().withName(namespace).endMetadata().build())
        .create();
  }

  /** The first, as a server takes a minute to let go of definitions that it has had for a while. */
  @Order(1)
  @Test
  void withoutTheGatewayApiTheRestIsServedAndItsComingAndGoingIsNoticed() {
    try (RunningOperator operator = operator()) {
      deploy(ROUTE + POOL);

      awaitReason("RouteReady", "GatewayApiMissing");
      assertThat(condition("RouteReady").getMessage())
          .contains("gateway.networking.k8s.io/v1", "Have the Gateway API installed");
      assertThat(condition("Ready").getReason()).isEqualTo("GatewayApiMissing");
      assertThat(condition("Stalled").getStatus()).isEqualTo("True");
      assertThat(condition("Feasible").getStatus()).isEqualTo("True");
      assertThat(client.apps().deployments().inNamespace(namespace).withName(NAME).get())
          .isNotNull();

      ApiServer.installGatewayApiAlone(client);
      awaitReason("RouteReady", "InferencePoolMissing");
      assertThat(condition("RouteReady").getMessage())
          .contains("Gateway API Inference Extension", "leave out route.inferencePool");
      await().atMost(SOON).until(() -> route() != null);

      List<CustomResourceDefinition> definitions = ApiServer.installGatewayApi(client);
      await().atMost(SOON).until(() -> pool() != null);
      awaitReason("RouteReady", "GatewaySilent");
      assertThat(condition("RouteReady").getMessage())
          .contains("kubectl get gateway public --namespace gateways");

      remove(definitions);
      awaitReason("RouteReady", "GatewayApiMissing");
      assertThat(operator.isHealthy()).isTrue();
      assertThat(
              operator
                  .registry()
                  .get("kvdrive.operator.namespace.readable")
                  .tag("namespace", namespace)
                  .gauge()
                  .value())
          .isEqualTo(1);

      ApiServer.installGatewayApi(client);
      await().atMost(SOON).until(() -> route() != null && pool() != null);
      awaitReason("RouteReady", "GatewaySilent");
    }
  }

  @Test
  void aRouteIsMadeKeptAndTakenAway() {
    ApiServer.installGatewayApi(client);
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      deploy(ROUTE);

      await().atMost(SOON).until(() -> route() != null);
      var rule = Objects.requireNonNull(route()).getSpec().getRules().getFirst();
      assertThat(rule.getBackendRefs())
          .singleElement()
          .satisfies(
              backend -> {
                assertThat(backend.getKind()).isEqualTo("Service");
                assertThat(backend.getName()).isEqualTo(NAME);
                assertThat(backend.getPort()).isEqualTo(80);
              });
      assertThat(rule.getMatches().getFirst().getPath().getValue()).isEqualTo("/legal/v1");
      assertThat(rule.getFilters().getFirst().getUrlRewrite().getPath().getReplacePrefixMatch())
          .isEqualTo("/v1");
      assertThat(rule.getTimeouts().getRequest()).isEqualTo("0s");
      assertThat(pool()).isNull();

      say(HTTPRoute.class, 1, true, "Accepted", true, "ResolvedRefs", "fine");
      awaitReason("RouteReady", "Accepted");
      assertThat(condition("RouteReady").getMessage())
          .isEqualTo("Gateway gateways/public accepts the route: llm.example.com at /legal/v1.");

      client.resource(Objects.requireNonNull(route())).delete();
      await().atMost(SOON).until(() -> route() != null);

      deploy(ROUTE + POOL);
      await().atMost(SOON).until(() -> pool() != null && generation() == observedGeneration());
      assertThat(Objects.requireNonNull(route()).getSpec().getRules().getFirst().getBackendRefs())
          .singleElement()
          .satisfies(
              backend -> {
                assertThat(backend.getKind()).isEqualTo("InferencePool");
                assertThat(backend.getGroup()).isEqualTo(InferencePool.GROUP);
                assertThat(backend.getName()).isEqualTo(NAME);
              });

      deploy("");
      await().atMost(SOON).until(() -> route() == null && pool() == null);
      await().atMost(SOON).until(() -> !conditions().containsKey("RouteReady"));
    }
  }

  @Test
  void nothingIsWrittenThatIsThereAlready() {
    ApiServer.installGatewayApi(client);
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      deploy(ROUTE + POOL);
      await().atMost(SOON).until(() -> route() != null && pool() != null);
      String route = version(Objects.requireNonNull(route()));
      String pool = version(Objects.requireNonNull(pool()));
      String services = version(service());

      deploy(ROUTE + POOL + "replicas: 2\n");
      await().atMost(SOON).until(() -> observedGeneration() == 2);
      deploy(ROUTE + POOL + "replicas: 3\n");
      await().atMost(SOON).until(() -> observedGeneration() == 3);

      assertThat(version(service())).isEqualTo(services);
      assertThat(version(Objects.requireNonNull(route()))).isEqualTo(route);
      assertThat(version(Objects.requireNonNull(pool()))).isEqualTo(pool);
    }
  }

  @Test
  void whatAGatewaySaysIsTheCondition() {
    ApiServer.installGatewayApi(client);
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      deploy(ROUTE + POOL);
      await().atMost(SOON).until(() -> route() != null && pool() != null);

      say(
          HTTPRoute.class,
          1,
          false,
          "NotAllowedByListeners",
          true,
          "ResolvedRefs",
          "namespace not allowed");
      awaitReason("RouteReady", "NotAllowedByListeners");
      assertThat(condition("RouteReady").getMessage())
          .isEqualTo("Gateway gateways/public: the route is not accepted: namespace not allowed");
      assertThat(condition("Stalled").getReason()).isEqualTo("NotAllowedByListeners");

      say(HTTPRoute.class, 1, true, "Accepted", false, "BackendNotFound", "no such pool");
      awaitReason("RouteReady", "BackendNotFound");
      assertThat(condition("Reconciling").getStatus()).isEqualTo("True");

      say(HTTPRoute.class, 1, true, "Accepted", true, "ResolvedRefs", "fine");
      awaitReason("RouteReady", "Accepted");

      say(InferencePool.class, 1, true, "Accepted", false, "InvalidExtensionRef", "no picker");
      awaitReason("RouteReady", "InvalidExtensionRef");
      assertThat(condition("RouteReady").getMessage())
          .contains("the InferencePool is not resolved to what it refers to: no picker");

      say(InferencePool.class, 1, true, "Accepted", true, "ResolvedRefs", "fine");
      awaitReason("RouteReady", "Accepted");

      deploy(ROUTE.replace("/legal", "/other") + POOL);
      awaitReason("RouteReady", "RoutePending");
    }
  }

  @Test
  void aRouteOfSomebodyElseIsNotTouched() {
    ApiServer.installGatewayApi(client);
    client
        .resource(
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: {name: endpoint, namespace: %s}
            spec: {parentRefs: [{name: theirs}]}
            """
                .formatted(namespace))
        .create();
    try (RunningOperator operator = operator()) {
      assertThat(operator).isNotNull();
      deploy(ROUTE);
      awaitReason("Feasible", "NameTaken");
      assertThat(condition("Feasible").getMessage())
          .contains("There already is a HTTPRoute named endpoint");
      assertThat(Objects.requireNonNull(route()).getSpec().getParentRefs().getFirst().getName())
          .isEqualTo("theirs");
    }
  }

  @Test
  void anOperatorThatMakesNoRoutesSaysSo() {
    ApiServer.installGatewayApi(client);
    try (RunningOperator operator =
        new RunningOperator(newClient(), RunningOperator.withoutRoutes(List.of(namespace)))) {
      assertThat(operator).isNotNull();
      deploy(ROUTE);
      awaitReason("RouteReady", "RoutesDisabled");
      assertThat(route()).isNull();
    }
  }

  private RunningOperator operator() {
    return new RunningOperator(
        newClient(), RunningOperator.watching("kvdrive-system", List.of(namespace)));
  }

  private static KubernetesClient newClient() {
    Config config = Config.fromKubeconfig(server.getKubeConfigYaml());
    config.setWatchReconnectInterval(100);
    return OperatorBeans.client(config);
  }

  private void deploy(String more) {
    InferenceDeployment wanted = WrittenManifests.deployment(NAME, namespace, more);
    InferenceDeployment there = client.resource(wanted).get();
    if (there == null) {
      client.resource(wanted).create();
    } else {
      await()
          .atMost(SOON)
          .ignoreExceptionsMatching(
              e -> e instanceof KubernetesClientException c && c.getCode() == 409)
          .until(
              () ->
                  client
                          .resources(InferenceDeployment.class)
                          .inNamespace(namespace)
                          .withName(NAME)
                          .edit(
                              current -> {
                                current.setSpec(wanted.getSpec());
                                return current;
                              })
                      != null);
    }
  }

  private static void remove(List<CustomResourceDefinition> definitions) {
    definitions.forEach(definition -> client.resource(definition).delete());
    definitions.forEach(
        definition ->
            await().atMost(REMOVAL).until(() -> client.resource(definition).get() == null));
  }

  /** Writes the status of the object as a Gateway's controller does. */
  private void say(
      Class<? extends HasMetadata> kind,
      long generation,
      boolean accepted,
      String why,
      boolean resolved,
      String whyResolved,
      String message) {
    String condition =
        "{\"type\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\",\"message\":\"%s\",\"observedGeneration\":%d,\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}";
    String section = kind == HTTPRoute.class ? ",\"sectionName\":\"https\"" : "";
    client
        .resources(kind)
        .inNamespace(namespace)
        .withName(NAME)
        .subresource("status")
        .patch(
            PatchContext.of(PatchType.JSON_MERGE),
            "{\"status\":{\"parents\":[{\"controllerName\":\"example.com/gateways\",\"parentRef\":{\"name\":\"public\",\"namespace\":\"gateways\"%s},\"conditions\":[%s,%s]}]}}"
                .formatted(
                    section,
                    condition.formatted(
                        "Accepted", accepted ? "True" : "False", why, message, generation),
                    condition.formatted(
                        "ResolvedRefs",
                        resolved ? "True" : "False",
                        whyResolved,
                        message,
                        generation)));
  }

  private @Nullable HTTPRoute route() {
    return orNull(() -> get(HTTPRoute.class));
  }

  private @Nullable InferencePool pool() {
    return orNull(() -> get(InferencePool.class));
  }

  private <T extends HasMetadata> T get(Class<T> kind) {
    return client.resources(kind).inNamespace(namespace).withName(NAME).get();
  }

  /** Of a kind that is just being installed nothing is said. */
  private static <T> @Nullable T orNull(Supplier<T> reading) {
    try {
      return reading.get();
    } catch (KubernetesClientException e) {
      return null;
    }
  }

  private HasMetadata service() {
    return client.services().inNamespace(namespace).withName(NAME).get();
  }

  private static String version(HasMetadata object) {
    return object.getMetadata().getResourceVersion();
  }

  private long generation() {
    return get(InferenceDeployment.class).getMetadata().getGeneration();
  }

  private long observedGeneration() {
    return Optional.ofNullable(get(InferenceDeployment.class).getStatus())
        .map(status -> status.observedGeneration())
        .orElse(0L);
  }

  private Map<String, Condition> conditions() {
    var status = get(InferenceDeployment.class).getStatus();
    return status == null || status.conditions() == null
        ? Map.of()
        : status.conditions().stream().collect(Collectors.toMap(Condition::getType, c -> c));
  }

  private Condition condition(String type) {
    return Objects.requireNonNull(conditions().get(type), type);
  }

  private void awaitReason(String type, String reason) {
    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(conditions())
                    .extractingByKey(type)
                    .extracting(Condition::getReason)
                    .isEqualTo(reason));
  }
}

package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.RunningOperator;
import dev.kvdrive.operator.status.ForeignFields;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServicePort;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whatever others make of the operator's objects, they become what they should be again. */
class EditedObjectsTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String PLAIN = "plain";
  private static final String RETAINED = "retained";
  private static final String SIZES =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi, reclaim: Retain}
      """;

  private static @Nullable RunningOperator operator;

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";

  @BeforeAll
  static void start() {
    operator =
        new RunningOperator(
            ApiServer.get().newClient(), RunningOperator.properties("kvdrive-system", false));
  }

  @AfterAll
  static void stop() {
    if (operator != null) {
      operator.close();
    }
  }

  @BeforeEach
  void deploy() {
    namespace = server.newNamespace();
    client.resource(WrittenManifests.deployment(PLAIN, namespace, "replicas: 2")).create();
    client
        .resource(WrittenManifests.deployment(RETAINED, namespace, SIZES, "replicas: 2"))
        .create();
    for (Class<? extends HasMetadata> kind :
        List.of(Service.class, Deployment.class, NetworkPolicy.class, PodDisruptionBudget.class)) {
      await().atMost(SOON).until(() -> get(kind, PLAIN) != null);
    }
    await().atMost(SOON).until(() -> get(StatefulSet.class, RETAINED) != null);
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          Service     | replace /spec/ports/0/port 8081
          Service     | replace /spec/ports/0/protocol "UDP"
          Service     | replace /spec/ports/0/name "web"
          Service     | replace /spec/ports [{"name":"http","port":9,"protocol":"TCP"},{"name":"b","port":8,"protocol":"TCP"}]
          Deployment  | replace /spec/template/spec/containers/0/ports/0/containerPort 9090
          Deployment  | replace /spec/template/spec/containers/0/name "renamed"
          Deployment  | replace /spec/template/spec/containers/0/env/0/name "OTHER"
          Deployment  | replace /spec/template/spec/containers/0/readinessProbe {"exec":{"command":["true"]}}
          Deployment  | replace /spec/template/spec/containers/0/lifecycle {"preStop":{"exec":{"command":["true"]}}}
          Deployment  | replace /spec/template/spec/volumes/0 {"name":"config","emptyDir":{}}
          Deployment  | replace /spec/strategy {"type":"Recreate"}
          StatefulSet | replace /spec/template/spec/containers/0/ports/0/containerPort 9090
          StatefulSet | replace /spec/template/spec/volumes/0 {"name":"config","emptyDir":{}}
          StatefulSet | replace /spec/updateStrategy {"type":"OnDelete"}
          PodDisruptionBudget | replace /spec {"minAvailable":1,"selector":{"matchLabels":{"a":"b"}}}
          NetworkPolicy | replace /spec/ingress/0/ports/0/port 9
          """)
  void becomesWhatItShouldBe(String kind, String edit) {
    HasMetadata before = Objects.requireNonNull(get(kind(kind), name(kind)));

    edit(kind, edit);

    await()
        .atMost(SOON)
        .untilAsserted(
            () -> {
              HasMetadata now = Objects.requireNonNull(get(kind(kind), name(kind)));
              assertThat(now.getMetadata().getGeneration())
                  .isNotEqualTo(
                      Objects.requireNonNullElse(before.getMetadata().getGeneration(), -1L));
              assertThat(essence(now)).isEqualTo(essence(before));
            });
    await()
        .atMost(SOON)
        .untilAsserted(
            () -> assertThat(ready(name(kind))).isNotIn("ObjectRefused", "ReconcileFailed"));
    HasMetadata after = Objects.requireNonNull(get(kind(kind), name(kind)));
    assertThat(after.getMetadata().getUid()).isEqualTo(before.getMetadata().getUid());
    assertThat(tracesOfRepair(after)).isEmpty();
  }

  /** Decision 0085 holds as long as it can. */
  @Test
  void whatStandsInNobodysWayStays() {
    edit(
        "Deployment",
        "add /spec/template/spec/containers/- {\"name\":\"sidecar\",\"image\":\"example.com/x\"}");
    edit("Deployment", "replace /spec/template/spec/containers/0/ports/0/containerPort 9090");

    await()
        .atMost(SOON)
        .untilAsserted(
            () -> {
              PodSpec pod =
                  Objects.requireNonNull(get(Deployment.class, PLAIN))
                      .getSpec()
                      .getTemplate()
                      .getSpec();
              assertThat(pod.getContainers())
                  .extracting(Container::getName)
                  .containsExactlyInAnyOrder("runtime", "sidecar");
              assertThat(
                      pod.getContainers().stream()
                          .filter(c -> c.getName().equals("runtime"))
                          .findFirst()
                          .orElseThrow()
                          .getPorts())
                  .singleElement()
                  .satisfies(port -> assertThat(port.getContainerPort()).isEqualTo(8080));
            });
  }

  @Test
  void aServiceKeepsItsAddress() {
    String address = Objects.requireNonNull(get(Service.class, PLAIN)).getSpec().getClusterIP();

    edit("Service", "replace /spec/ports/0/port 8081");

    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(Objects.requireNonNull(get(Service.class, PLAIN)).getSpec().getPorts())
                    .extracting(ServicePort::getPort)
                    .containsExactly(80));
    assertThat(Objects.requireNonNull(get(Service.class, PLAIN)).getSpec().getClusterIP())
        .isEqualTo(address);
  }

  private void edit(String kind, String edit) {
    String[] parts = edit.split(" ", 3);
    client
        .resource(Objects.requireNonNull(get(kind(kind), name(kind))))
        .patch(
            new PatchContext.Builder()
                .withPatchType(PatchType.JSON)
                .withFieldManager("kubectl-patch")
                .build(),
            "[{\"op\":\"%s\",\"path\":\"%s\",\"value\":%s}]"
                .formatted(parts[0], parts[1], parts[2]));
  }

  private static Class<? extends HasMetadata> kind(String kind) {
    return switch (kind) {
      case "Service" -> Service.class;
      case "Deployment" -> Deployment.class;
      case "StatefulSet" -> StatefulSet.class;
      case "PodDisruptionBudget" -> PodDisruptionBudget.class;
      case "NetworkPolicy" -> NetworkPolicy.class;
      default -> throw new IllegalArgumentException(kind);
    };
  }

  private static String name(String kind) {
    return kind.equals("StatefulSet") ? RETAINED : PLAIN;
  }

  private <R extends HasMetadata> @Nullable R get(Class<R> kind, String name) {
    return client.resources(kind).inNamespace(namespace).withName(name).get();
  }

  private @Nullable String ready(String name) {
    InferenceDeployment deployment =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
    return Objects.requireNonNull(deployment.getStatus().conditions()).getFirst().getReason();
  }

  /** What there is of an object to be right or wrong. */
  private static String essence(HasMetadata object) {
    return switch (object) {
      // A port of another name is in nobody's way.
      case Service s ->
          Serialization.asYaml(
              s.getSpec().getPorts().stream().filter(p -> !"b".equals(p.getName())).toList());
      case Deployment d ->
          Serialization.asYaml(
              List.of(d.getSpec().getStrategy(), pod(d.getSpec().getTemplate().getSpec())));
      case StatefulSet s ->
          Serialization.asYaml(
              List.of(s.getSpec().getUpdateStrategy(), pod(s.getSpec().getTemplate().getSpec())));
      case PodDisruptionBudget b -> Serialization.asYaml(b.getSpec());
      case NetworkPolicy n -> Serialization.asYaml(n.getSpec());
      default -> throw new IllegalArgumentException(object.getKind());
    };
  }

  /** The operator's own; what others added beside it may stay. */
  private static Object pod(PodSpec pod) {
    Container runtime =
        pod.getContainers().stream()
            .filter(c -> c.getName().equals("runtime"))
            .findFirst()
            .orElseThrow();
    return List.of(
        pod.getVolumes(),
        runtime.getPorts(),
        runtime.getReadinessProbe(),
        runtime.getLifecycle(),
        runtime.getEnv().stream().filter(e -> !e.getName().equals("OTHER")).toList());
  }

  /**
   * Whoever else than the one who edited it has traces in the object, the operator's Apply aside.
   */
  private static List<String> tracesOfRepair(HasMetadata object) {
    return object.getMetadata().getManagedFields().stream()
        .map(entry -> entry.getManager() + " " + entry.getOperation())
        .filter(who -> !who.equals("kubectl-patch Update"))
        .filter(who -> !who.equals(ForeignFields.OPERATOR + " Apply"))
        .toList();
  }
}

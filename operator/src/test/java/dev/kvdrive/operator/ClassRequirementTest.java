package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the platform team's switch does: at apply, by the chart's policy, and in the operator. */
class ClassRequirementTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private final List<HasMetadata> applied = new ArrayList<>();
  private String namespace = "";

  @BeforeEach
  void namespace() {
    namespace = server.newNamespace();
  }

  @AfterEach
  void clean() {
    applied.forEach(object -> client.resource(object).delete());
  }

  @Test
  void theApiServerRefusesAtApplyWhatNamesNoClass() {
    applyPolicy();

    assertThatCode(
            () ->
                client
                    .resource(WrittenManifests.deployment("classed", namespace, "className: gold"))
                    .create())
        .doesNotThrowAnyException();
    assertThatCode(
            () ->
                client
                    .resource(WrittenManifests.deployment("elsewhere", server.newNamespace(), ""))
                    .create())
        .doesNotThrowAnyException();
  }

  @Test
  void whatExistedBeforeMayGoOnAndEndButNotChangeItsSpecification() {
    client.resource(classless("old")).create();
    applyPolicy();
    assertThatThrownBy(() -> patch("old", "{\"spec\":{\"concurrency\":2}}"))
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining(Assessor.CLASS_REQUIRED);
    patch("old", "{\"metadata\":{\"labels\":{\"team\":\"legal\"}}}");
    patch("old", "{\"spec\":{\"concurrency\":2,\"className\":\"gold\"}}");
    assertThat(deployment("old").getSpec().className()).isEqualTo("gold");
  }

  @Test
  void theOperatorRefusesWhatExistedBeforeAndNamesTheClassesThatAreOpen() {
    apply(WrittenManifests.clazz("open-here", "tenants: [{namespace: %s}]".formatted(namespace)));
    apply(WrittenManifests.clazz("open-elsewhere", "tenants: [{namespace: nowhere}]"));
    client.resource(classless("old")).create();

    try (RunningOperator operator = new RunningOperator(server.newClient(), requiringAClass())) {
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(feasible("old"))
                      .hasValueSatisfying(
                          condition -> {
                            assertThat(condition.getReason()).isEqualTo("NotAllowed");
                            assertThat(condition.getMessage())
                                .startsWith(Assessor.CLASS_REQUIRED)
                                .contains("open-here")
                                .doesNotContain("open-elsewhere");
                          }));
      apply(WrittenManifests.clazz(InferenceClass.DEFAULT_NAME, "{}"));
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(feasible("old"))
                      .hasValueSatisfying(
                          condition -> assertThat(condition.getStatus()).isEqualTo("True")));
      assertThat(operator).isNotNull();
    }
  }

  @Test
  void whoeverIsLoggedInMayReadTheClassesToChooseFrom() {
    try (KubernetesClient tenant = clientOf("jane")) {
      load(Helm.template("readers", namespace, "--show-only", "templates/userroles.yaml"))
          .forEach(this::apply);

      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThatCode(() -> tenant.resources(InferenceClass.class).list())
                      .doesNotThrowAnyException());
      assertThatThrownBy(
              () -> tenant.resource(WrittenManifests.clazz("mine", "device: CPU")).create())
          .isInstanceOf(KubernetesClientException.class)
          .hasMessageContaining("forbidden");
    }
  }

  /** Applies the chart's policy and sees it refuse what names no class. */
  private void applyPolicy() {
    load(Helm.template(
            "policy",
            namespace,
            "--set",
            "classes.required=true,watch.namespaces={" + namespace + "}",
            "--show-only",
            "templates/admission.yaml"))
        .forEach(this::apply);
    // The API server learns of a policy in its own time.
    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThatThrownBy(() -> client.resource(classless("probe")).dryRun().create())
                    .isInstanceOf(KubernetesClientException.class)
                    .hasMessageContaining(Assessor.CLASS_REQUIRED)
                    .hasMessageContaining("kubectl get inferenceclasses"));
  }

  private List<HasMetadata> load(String yaml) {
    return client.load(new ByteArrayInputStream(yaml.getBytes(StandardCharsets.UTF_8))).items();
  }

  private void apply(HasMetadata object) {
    applied.add(client.resource(object).serverSideApply());
  }

  private OperatorProperties requiringAClass() {
    return new OperatorProperties(
        namespace,
        "kvdrive",
        false,
        List.of(namespace),
        true,
        false,
        false,
        true,
        false,
        List.of(),
        new OperatorProperties.RuntimePods(
            "kvdrive/runtime:test",
            "kvdrive/runtime-cuda:test",
            PullPolicy.IF_NOT_PRESENT,
            List.of(),
            null,
            null,
            null));
  }

  private KubernetesClient clientOf(String user) {
    Config config = server.config();
    config.setImpersonateUsername(user);
    config.setImpersonateGroups("system:authenticated");
    return new KubernetesClientBuilder().withConfig(config).build();
  }

  private InferenceDeployment classless(String name) {
    return WrittenManifests.deployment(name, namespace, "");
  }

  private InferenceDeployment deployment(String name) {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
  }

  private void patch(String name, String merge) {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName(name)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private Optional<Condition> feasible(String name) {
    return Optional.ofNullable(deployment(name).getStatus()).stream()
        .flatMap(status -> Stream.ofNullable(status.conditions()).flatMap(List::stream))
        .filter(condition -> condition.getType().equals("Feasible"))
        .findFirst();
  }
}

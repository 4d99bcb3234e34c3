package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Of two operators that watch the same namespace, one serves what is there. */
class TwoOperatorsTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String NAME = "endpoint";

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";
  private String first = "";
  private String second = "";

  @BeforeEach
  void namespaces() {
    namespace = server.newNamespace();
    first = server.newNamespace();
    second = server.newNamespace();
  }

  @Test
  void theSecondLeavesAloneWhatTheFirstServesAndSaysSo() {
    try (RunningOperator one = operator(first, "one", false);
        RunningOperator two = operator(second, "two", false)) {
      client.resource(WrittenManifests.deployment(NAME, namespace, "")).create();
      await().atMost(SOON).until(() -> callers() != null);
      String by = Objects.requireNonNull(servedBy());
      RunningOperator idle = by.equals(first + "/one") ? two : one;

      await().atMost(SOON).until(() -> ofOthers(idle) == 1);
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(messages("ServedByAnother"))
                      .singleElement()
                      .satisfies(
                          words ->
                              assertThat(words)
                                  .contains("the operator of release " + by)
                                  .contains("watch.takeOver")));
      patch("{\"spec\":{\"contextLength\":8192}}");
      await().atMost(SOON).until(() -> observedGeneration() == 2);

      // Each lets its own namespace call: what the policy says tells who wrote it.
      assertThat(servedBy()).isEqualTo(by);
      assertThat(callers()).contains(by.substring(0, by.indexOf('/')));
      assertThat(callers()).doesNotContain(by.equals(first + "/one") ? second : first);
    }
  }

  @Test
  void theSecondTakesOverWhenTheFirstIsGone() {
    try (RunningOperator one = operator(first, "one", false)) {
      client.resource(WrittenManifests.deployment(NAME, namespace, "")).create();
      await().atMost(SOON).until(() -> callers() != null);
      assertThat(one).isNotNull();
    }
    client.leases().inNamespace(first).withName("kvdrive-operator").delete();

    try (RunningOperator two = operator(second, "two", false)) {
      await().atMost(SOON).until(() -> (second + "/two").equals(servedBy()));
      await().atMost(SOON).until(() -> Objects.requireNonNull(callers()).contains(second));
      assertThat(two).isNotNull();
    }
  }

  @Test
  void whoStopsGivesItsLeaseBack() {
    try (RunningOperator one = operator(first, "one", false)) {
      client.resource(WrittenManifests.deployment(NAME, namespace, "")).create();
      await().atMost(SOON).until(() -> callers() != null);
      assertThat(lease(first).getSpec().getHolderIdentity()).isNotNull();
      assertThat(one).isNotNull();
    }

    assertThat(lease(first).getSpec().getHolderIdentity()).isNull();
  }

  /** Its node has failed, for instance: it has not given its lease back. */
  @Test
  void aDeploymentSaysThatItWaitsForAnOperatorThatIsNotHeardOf() {
    try (RunningOperator one = operator(first, "one", false)) {
      client.resource(WrittenManifests.deployment(NAME, namespace, "")).create();
      await().atMost(SOON).until(() -> callers() != null && get().getStatus().plan() != null);
      assertThat(one).isNotNull();
    }
    client
        .leases()
        .inNamespace(first)
        .withName("kvdrive-operator")
        .edit(
            lease ->
                new LeaseBuilder(lease)
                    .editSpec()
                    .withHolderIdentity("pod-1")
                    .withRenewTime(ZonedDateTime.now(ZoneOffset.UTC).minusMinutes(2))
                    .endSpec()
                    .build());

    try (RunningOperator two = operator(second, "two", false)) {
      await()
          .atMost(SOON)
          .untilAsserted(
              () ->
                  assertThat(condition("Reconciling").getMessage())
                      .contains("release " + first + "/one")
                      .contains("That of " + second + "/two takes over at 20")
                      .contains("kubectl delete lease kvdrive-operator --namespace " + first));
      assertThat(condition("Feasible").getStatus()).isEqualTo("True");

      patch("{\"spec\":{\"contextLength\":8192}}");

      await()
          .atMost(SOON)
          .untilAsserted(
              () -> {
                assertThat(condition("Ready").getStatus()).isEqualTo("Unknown");
                assertThat(condition("Ready").getReason()).isEqualTo("WaitsForOperator");
                assertThat(condition("Feasible").getStatus()).isEqualTo("Unknown");
              });
      assertThat(observedGeneration()).isEqualTo(1);
      assertThat(servedBy()).isEqualTo(first + "/one");

      client.leases().inNamespace(first).withName("kvdrive-operator").delete();
      patch("{\"spec\":{\"contextLength\":4096}}");
      await().atMost(SOON).until(() -> observedGeneration() == 3);
      assertThat(servedBy()).isEqualTo(second + "/two");
      assertThat(condition("Reconciling").getReason()).isNotEqualTo("WaitsForOperator");
      assertThat(two).isNotNull();
    }
  }

  @Test
  void aReleaseOfAnotherNameInTheSameNamespaceTakesOverAtOnce() {
    try (RunningOperator one = operator(first, "one", false)) {
      client.resource(WrittenManifests.deployment(NAME, namespace, "")).create();
      await().atMost(SOON).until(() -> callers() != null);
      assertThat(one).isNotNull();
    }

    try (RunningOperator renamed = operator(first, "renamed", false)) {
      await().atMost(SOON).until(() -> (first + "/renamed").equals(servedBy()));
      assertThat(renamed).isNotNull();
    }
  }

  @Test
  void whoIsToldToTakesOverFromWhoStillWorks() {
    try (RunningOperator one = operator(first, "one", false)) {
      client.resource(WrittenManifests.deployment(NAME, namespace, "")).create();
      await().atMost(SOON).until(() -> callers() != null);

      try (RunningOperator two = operator(second, "two", true)) {
        await().atMost(SOON).until(() -> (second + "/two").equals(servedBy()));
        await().atMost(SOON).until(() -> ofOthers(one) == 1);
        assertThat(two).isNotNull();
      }
    }
  }

  private RunningOperator operator(String system, String release, boolean takeOver) {
    return new RunningOperator(
        server.newClient(),
        RunningOperator.watching(system, release, takeOver, List.of(namespace)));
  }

  private Lease lease(String system) {
    return client.leases().inNamespace(system).withName("kvdrive-operator").get();
  }

  private Condition condition(String type) {
    return Objects.requireNonNull(get().getStatus().conditions()).stream()
        .filter(c -> c.getType().equals(type))
        .findFirst()
        .orElseThrow();
  }

  private InferenceDeployment get() {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(NAME).get();
  }

  private @Nullable String servedBy() {
    return get().getStatus() == null ? null : get().getStatus().operator();
  }

  private long observedGeneration() {
    return Objects.requireNonNull(get().getStatus().observedGeneration());
  }

  /** The network policy as text, with the namespaces that may call. */
  private @Nullable String callers() {
    var policy =
        client.network().v1().networkPolicies().inNamespace(namespace).withName(NAME).get();
    return policy == null ? null : policy.getSpec().toString();
  }

  private static double ofOthers(RunningOperator operator) {
    return operator.registry().get("kvdrive.operator.deployments.of.others").gauge().value();
  }

  private List<String> messages(String reason) {
    return client.v1().events().inNamespace(namespace).list().getItems().stream()
        .filter(event -> reason.equals(event.getReason()))
        .map(event -> event.getMessage())
        .toList();
  }

  private void patch(String merge) {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName(NAME)
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }
}

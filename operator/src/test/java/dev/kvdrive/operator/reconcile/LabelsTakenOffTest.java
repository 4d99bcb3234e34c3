package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.RunningOperator;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.ManagedFieldsEntryBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * An object is the operator's by its owner reference, whatever becomes of its labels, and by having
 * been applied by it, whatever becomes of its owner reference.
 */
class LabelsTakenOffTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String NAME = "endpoint";
  private static final Map<String, String> OURS =
      Map.of(
          "app.kubernetes.io/managed-by", "kvdrive-operator",
          "app.kubernetes.io/name", "kvdrive-runtime",
          "app.kubernetes.io/instance", NAME);
  private static final String RETAINED = "kept";
  private static final List<Class<? extends HasMetadata>> KINDS =
      List.of(
          ConfigMap.class,
          ServiceAccount.class,
          Service.class,
          NetworkPolicy.class,
          Deployment.class,
          StatefulSet.class,
          PodDisruptionBudget.class);
  private static final String SIZES =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi, reclaim: Retain}
      """;

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";

  @BeforeEach
  void namespace() {
    namespace = server.newNamespace();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/name",
        "app.kubernetes.io/instance"
      })
  void isPutBackOnEveryKind(String label) {
    try (RunningOperator operator = operator()) {
      deploy();
      awaitAllKinds();

      takeOff(label);

      awaitAllLabels();
      assertThat(operator).isNotNull();
    }
  }

  @Test
  void isPutBackByTheNextOperator() {
    try (RunningOperator operator = operator()) {
      deploy();
      awaitAllKinds();
      assertThat(operator).isNotNull();
    }
    OURS.keySet().forEach(this::takeOff);

    try (RunningOperator next = operator()) {
      awaitAllLabels();
      assertThat(next).isNotNull();
    }
  }

  @Test
  void ownerReferencesArePutBackOnEveryKind() {
    try (RunningOperator operator = operator()) {
      deploy();
      awaitAllKinds();

      owned().forEach(object -> disown(object, false));

      awaitAllKinds();
      assertThat(operator).isNotNull();
    }
  }

  @Test
  void labelsAndOwnerReferencesArePutBackOnEveryKind() {
    try (RunningOperator operator = operator()) {
      deploy();
      awaitAllKinds();

      owned().forEach(object -> disown(object, true));

      awaitAllKinds();
      awaitAllLabels();
      assertThat(readyReason(NAME)).isNotEqualTo("NameTaken");
      assertThat(operator).isNotNull();
    }
  }

  /** A pod of another program would answer in its place. */
  @Test
  void aSelectorChangedWithTheOwnerReferenceIsPutBack() {
    try (RunningOperator operator = operator()) {
      deploy();
      awaitAllKinds();
      var service = client.services().inNamespace(namespace).withName(NAME);
      Map<String, String> selector = service.get().getSpec().getSelector();

      service.edit(
          found -> {
            found.getMetadata().setOwnerReferences(List.of());
            found.getSpec().setSelector(Map.of("app", "evil"));
            return found;
          });

      await()
          .atMost(SOON)
          .untilAsserted(
              () -> {
                assertThat(service.get().getSpec().getSelector()).isEqualTo(selector);
                assertThat(service.get().getMetadata().getOwnerReferences()).hasSize(1);
              });
      assertThat(operator).isNotNull();
    }
  }

  /** So that an event of it is an event of its deployment, and nobody has to look by themselves. */
  @Test
  void whatTheOperatorAppliedIsItsDeploymentsByLabelWhenItHasNoOwner() {
    Dependents.Endpoint endpoint = new Dependents.Endpoint();
    Service service =
        new ServiceBuilder()
            .withNewMetadata()
            .withName(NAME)
            .withNamespace(namespace)
            .withLabels(OURS)
            .endMetadata()
            .build();
    assertThat(endpoint.toPrimaryResourceIDs(service)).isEmpty();

    service
        .getMetadata()
        .setManagedFields(
            List.of(
                new ManagedFieldsEntryBuilder()
                    .withManager("kvdrive-operator")
                    .withOperation("Apply")
                    .build()));
    assertThat(endpoint.toPrimaryResourceIDs(service))
        .containsExactly(new ResourceID(NAME, namespace));
  }

  private void disown(HasMetadata object, boolean labelsToo) {
    client
        .resource(object)
        .edit(
            found -> {
              found.getMetadata().setOwnerReferences(List.of());
              if (labelsToo) {
                found.getMetadata().setLabels(Map.of());
              }
              return found;
            });
  }

  /** Labels make nothing the operator's. */
  @Test
  void whatAStrangerLabelledAsOursStaysAStrangers() {
    Map<String, HasMetadata> strangers = new TreeMap<>();
    for (HasMetadata stranger :
        List.of(
            new ServiceAccount(),
            new ServiceBuilder()
                .withNewSpec()
                .addNewPort()
                .withPort(5432)
                .endPort()
                .endSpec()
                .build(),
            new NetworkPolicyBuilder()
                .withNewSpec()
                .withNewPodSelector()
                .endPodSelector()
                .endSpec()
                .build(),
            new PodDisruptionBudgetBuilder()
                .withNewSpec()
                .withMaxUnavailable(new IntOrString(3))
                .endSpec()
                .build())) {
      String name = stranger.getKind().toLowerCase(Locale.ROOT);
      stranger.setMetadata(
          new ObjectMetaBuilder()
              .withName(name)
              .withNamespace(namespace)
              .withLabels(OURS)
              .addToLabels("app.kubernetes.io/instance", name)
              .build());
      strangers.put(name, client.resource(stranger).create());
    }

    try (RunningOperator operator = operator()) {
      strangers
          .keySet()
          .forEach(
              name ->
                  client
                      .resource(WrittenManifests.deployment(name, namespace, "replicas: 2"))
                      .create());

      strangers.forEach(
          (name, stranger) -> {
            await()
                .atMost(SOON)
                .untilAsserted(() -> assertThat(readyReason(name)).isEqualTo("NameTaken"));
            assertThat(client.resource(stranger).get().getMetadata().getResourceVersion())
                .isEqualTo(stranger.getMetadata().getResourceVersion());
          });
      assertThat(operator).isNotNull();
    }
  }

  private RunningOperator operator() {
    return new RunningOperator(
        server.newClient(), RunningOperator.watching("kvdrive-system", List.of(namespace)));
  }

  private void deploy() {
    client.resource(WrittenManifests.deployment(NAME, namespace, "replicas: 2")).create();
    client
        .resource(WrittenManifests.deployment(RETAINED, namespace, SIZES, "replicas: 2"))
        .create();
  }

  private @Nullable String readyReason(String name) {
    InferenceDeployment deployment =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
    return deployment.getStatus() == null
        ? null
        : Objects.requireNonNull(deployment.getStatus().conditions()).getFirst().getReason();
  }

  private List<HasMetadata> owned() {
    List<HasMetadata> owned = new ArrayList<>();
    for (Class<? extends HasMetadata> kind : KINDS) {
      client.resources(kind).inNamespace(namespace).list().getItems().stream()
          .filter(object -> !object.getMetadata().getOwnerReferences().isEmpty())
          .forEach(owned::add);
    }
    return owned;
  }

  /** All but the workload come in both deployments. */
  private void awaitAllKinds() {
    await().atMost(SOON).untilAsserted(() -> assertThat(owned()).hasSize(2 * 6));
    assertThat(owned().stream().map(HasMetadata::getKind).distinct()).hasSize(KINDS.size());
  }

  private void takeOff(String label) {
    for (HasMetadata object : owned()) {
      client
          .resource(object)
          .edit(
              found -> {
                found.getMetadata().getLabels().remove(label);
                return found;
              });
    }
  }

  private void awaitAllLabels() {
    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(owned())
                    .hasSize(2 * 6)
                    .allSatisfy(
                        object ->
                            assertThat(object.getMetadata().getLabels())
                                .containsKeys(OURS.keySet().toArray(String[]::new))));
  }
}

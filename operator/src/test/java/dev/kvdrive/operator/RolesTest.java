package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.desired.InferencePool;
import io.fabric8.kubernetes.api.model.DeletionPropagation;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.apps.DeploymentBuilder;
import io.fabric8.kubernetes.api.model.gatewayapi.v1.HTTPRoute;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.rbac.ClusterRole;
import io.fabric8.kubernetes.api.model.rbac.PolicyRule;
import io.fabric8.kubernetes.api.model.rbac.Role;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/**
 * The chart's roles and the code agree to the letter: with these rights, and only these, the
 * operator runs a life of deployments; and it uses every one of them.
 */
class RolesTest {
  private static final String SYSTEM = "kvdrive-system";
  private static final String ACCOUNT = "kvdrive-operator";

  /** The framework does not start without it, though it never uses it. */
  private static final Set<String> ASKED_FOR_BY_THE_FRAMEWORK =
      Set.of("coordination.k8s.io/leases update");

  /** Rights that every account has. */
  private static final Set<String> EVERYBODYS =
      Set.of(
          "authorization.k8s.io/selfsubjectrulesreviews create",
          "authentication.k8s.io/selfsubjectreviews create");

  private static final String RETAINED =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi, reclaim: Retain}
      """;

  private static final String ROUTE =
      """
      route:
        parentRefs: [{name: public, namespace: gateways}]
        inferencePool: {endpointPickerRef: {name: picker, port: 9002}}
      """;

  private static final Duration SOON = Duration.ofSeconds(30);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();

  @Test
  void theOperatorHasTheRightsItUsesAndNoOthers() throws IOException {
    ApiServer.installGatewayApi(client);
    List<HasMetadata> chart = installChart();

    liveALife(server.newNamespace());

    assertThat(deniedToTheOperator()).isEmpty();
    Set<String> used = usedByTheOperator();
    used.addAll(ASKED_FOR_BY_THE_FRAMEWORK);
    used.removeAll(EVERYBODYS);
    assertThat(used).isEqualTo(granted(chart));
  }

  private List<HasMetadata> installChart() {
    server.ensureNamespace(SYSTEM);
    String rendered =
        Helm.run(
                "helm",
                "template",
                "kvdrive",
                Helm.CHART.toString(),
                "--namespace",
                SYSTEM,
                "--kube-version",
                "1.34.4",
                "--set",
                "crds.install=false",
                "--set",
                "watch.nodes=true")
            .output();
    List<HasMetadata> objects =
        client.load(new ByteArrayInputStream(rendered.getBytes(StandardCharsets.UTF_8))).items();
    objects.forEach(object -> client.resource(object).forceConflicts().serverSideApply());
    return objects;
  }

  /**
   * All dependents come, one goes, a rollout completes, a claim is looked into, the lease is taken
   * and given back.
   */
  private void liveALife(String namespace) {
    try (RunningOperator operator =
        new RunningOperator(
            server.newClientAs(SYSTEM, ACCOUNT), RunningOperator.readingNodes(SYSTEM, true))) {
      client
          .resource(WrittenManifests.deployment("pair", namespace, "replicas: 2\n" + ROUTE))
          .create();
      client.resource(WrittenManifests.deployment("kept", namespace, RETAINED, "")).create();
      await().atMost(SOON).until(() -> budget(namespace) != null && hasStatus(namespace, "kept"));
      await().atMost(SOON).until(() -> isRouted(namespace));
      client.resource(pendingClaim(namespace)).create();
      patch(namespace, "{\"spec\":{\"replicas\":1,\"contextLength\":8192,\"route\":null}}");
      await()
          .atMost(SOON)
          .until(() -> budget(namespace) == null && replicas(namespace, "pair") == 1);
      await().atMost(SOON).until(() -> !isRouted(namespace));
      complete(namespace);
      await().atMost(SOON).until(() -> usedByTheOperator().contains("/configmaps delete"));
      await().atMost(SOON).until(() -> usedByTheOperator().contains("/events list"));
      orphanAndMakeAgain(namespace);
      assertThat(operator).isNotNull();
    }
  }

  /** What a deployment left behind is taken over, and its workload of the other kind deleted. */
  private void orphanAndMakeAgain(String namespace) {
    var deployments = client.apps().deployments().inNamespace(namespace).withName("moved");
    var sets = client.apps().statefulSets().inNamespace(namespace).withName("moved");
    client.resource(WrittenManifests.deployment("moved", namespace, "")).create();
    await().atMost(SOON).until(() -> deployments.get() != null);

    orphan(namespace);
    client.resource(WrittenManifests.deployment("moved", namespace, RETAINED, "")).create();
    await().atMost(SOON).until(() -> sets.get() != null && deployments.get() == null);

    orphan(namespace);
    client.resource(WrittenManifests.deployment("moved", namespace, "")).create();
    await().atMost(SOON).until(() -> deployments.get() != null && sets.get() == null);
  }

  /** As the garbage collector does it, but that the objects still name their former owner. */
  private void orphan(String namespace) {
    var moved =
        client.resources(InferenceDeployment.class).inNamespace(namespace).withName("moved");
    moved.withPropagationPolicy(DeletionPropagation.ORPHAN).delete();
    moved.patch(PatchContext.of(PatchType.JSON_MERGE), "{\"metadata\":{\"finalizers\":null}}");
    await().atMost(SOON).until(() -> moved.get() == null);
  }

  private int replicas(String namespace, String name) {
    return client
        .apps()
        .deployments()
        .inNamespace(namespace)
        .withName(name)
        .get()
        .getSpec()
        .getReplicas();
  }

  /** What the controllers would say; the operator may write the object at the same time. */
  private void complete(String namespace) {
    var pair = client.apps().deployments().inNamespace(namespace).withName("pair");
    await()
        .atMost(SOON)
        .ignoreExceptionsMatching(
            e -> e instanceof KubernetesClientException conflict && conflict.getCode() == 409)
        .until(
            () ->
                pair.editStatus(
                        deployment ->
                            new DeploymentBuilder(deployment)
                                .withNewStatus()
                                .withObservedGeneration(deployment.getMetadata().getGeneration())
                                .withReplicas(1)
                                .withUpdatedReplicas(1)
                                .withReadyReplicas(1)
                                .withAvailableReplicas(1)
                                .endStatus()
                                .build())
                    != null);
  }

  private PodDisruptionBudget budget(String namespace) {
    return client.policy().v1().podDisruptionBudget().inNamespace(namespace).withName("pair").get();
  }

  private boolean isRouted(String namespace) {
    return client.resources(HTTPRoute.class).inNamespace(namespace).withName("pair").get() != null
        || client.resources(InferencePool.class).inNamespace(namespace).withName("pair").get()
            != null;
  }

  private boolean hasStatus(String namespace, String name) {
    return client
            .resources(InferenceDeployment.class)
            .inNamespace(namespace)
            .withName(name)
            .get()
            .getStatus()
        != null;
  }

  private void patch(String namespace, String merge) {
    client
        .resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName("pair")
        .patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private static HasMetadata pendingClaim(String namespace) {
    return new PersistentVolumeClaimBuilder()
        .withNewMetadata()
        .withName("pair-1-nvme")
        .withNamespace(namespace)
        .withLabels(
            Map.of(
                "app.kubernetes.io/managed-by", "kvdrive-operator",
                "app.kubernetes.io/instance", "pair"))
        .endMetadata()
        .withNewSpec()
        .withAccessModes("ReadWriteOnce")
        .withNewResources()
        .addToRequests("storage", new Quantity("512Mi"))
        .endResources()
        .endSpec()
        .build();
  }

  private Set<String> deniedToTheOperator() throws IOException {
    Set<String> denied = new TreeSet<>();
    for (JsonNode event : events()) {
      if (event.at("/responseStatus/code").asInt() == 403) {
        denied.add(right(event));
      }
    }
    return denied;
  }

  private Set<String> usedByTheOperator() throws IOException {
    Set<String> used = new TreeSet<>();
    for (JsonNode event : events()) {
      used.add(right(event));
      // A server-side apply that makes an object is recorded as a patch but needs both rights.
      if (event.at("/verb").asText().equals("patch")
          && event.at("/responseStatus/code").asInt() == 201) {
        used.add(resource(event) + " create");
      }
    }
    return used;
  }

  private List<JsonNode> events() throws IOException {
    String account = "system:serviceaccount:%s:%s".formatted(SYSTEM, ACCOUNT);
    try (var lines = Files.lines(server.auditLog())) {
      return lines
          .filter(line -> line.endsWith("}"))
          .map(RolesTest::json)
          .filter(e -> e.at("/impersonatedUser/username").asText().equals(account))
          .filter(e -> e.has("objectRef"))
          .toList();
    }
  }

  private static JsonNode json(String line) {
    try {
      return JSON.readTree(line);
    } catch (IOException e) {
      throw new IllegalStateException("the audit log has a line that is no event: " + line, e);
    }
  }

  private static String right(JsonNode event) {
    return resource(event) + " " + event.at("/verb").asText();
  }

  private static String resource(JsonNode event) {
    String sub = event.at("/objectRef/subresource").asText();
    return event.at("/objectRef/apiGroup").asText()
        + "/"
        + event.at("/objectRef/resource").asText()
        + (sub.isEmpty() ? "" : "/" + sub);
  }

  private static Set<String> granted(List<HasMetadata> chart) {
    Set<String> granted = new TreeSet<>();
    for (HasMetadata object : chart) {
      String name = object.getMetadata().getName();
      if (name.endsWith("-edit") || name.endsWith("-view")) {
        continue; // For users.
      }
      if (object instanceof ClusterRole role) {
        role.getRules().forEach(rule -> add(granted, rule));
      } else if (object instanceof Role role) {
        role.getRules().forEach(rule -> add(granted, rule));
      }
    }
    return granted;
  }

  private static void add(Set<String> granted, PolicyRule rule) {
    for (String group : rule.getApiGroups()) {
      for (String resource : rule.getResources()) {
        for (String verb : rule.getVerbs()) {
          granted.add(group + "/" + resource + " " + verb);
        }
      }
    }
  }
}

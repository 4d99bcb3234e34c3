package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the chart's admission policies hold users to, before any operator sees it. */
class AdmissionTest {
  private static final Duration SOON = Duration.ofSeconds(30);

  private static final String RETAINED =
      """
      contextLength: 16384
      tiers:
        gpu: {memory: 64Mi}
        dram: {size: 64Mi}
        nvme: {size: 512Mi, reclaim: Retain}
      """;

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
  void everyDeploymentSaysWhoMayCall() {
    create("old", "");
    apply("callersRequired");

    awaitRefused(probe(""), "spec.access must say who may call");
    refused(() -> create("tls", "access: {tls: {secretName: s}}"), "who may call");
    create("keys", "access: {apiKeysSecret: {name: n, key: k}}");
    create("mutual", "access: {tls: {secretName: s, clientCaSecret: {name: n, key: k}}}");
    refused(() -> patch("old", "{\"spec\":{\"replicas\":2}}"), "who may call");
    patch("old", "{\"metadata\":{\"labels\":{\"team\":\"legal\"}}}");
    assertThatCode(
            () ->
                client
                    .resource(WrittenManifests.deployment("open", server.newNamespace(), ""))
                    .create())
        .as("in a namespace that is not watched")
        .doesNotThrowAnyException();
  }

  @Test
  void noDeploymentLetsTheWholeClusterConnect() {
    apply("closedNetwork");

    awaitRefused(
        probe("access: {fromNamespaces: [a, '*']}"), "lets every pod of the cluster connect");
    create("closed", "access: {fromNamespaces: [a]}");
    create("silent", "");
  }

  @Test
  void routesHaveTheHostnamesOfTheirNamespace() {
    apply("ownHostnames");

    awaitRefused(probe(route("llm.legal.example.com")), "which has none");
    client
        .namespaces()
        .withName(namespace)
        .patch(
            PatchContext.of(PatchType.JSON_MERGE),
            "{\"metadata\":{\"annotations\":{\"kvdrive.dev/hostnames\":\"*.legal.example.com, contracts.example.com\"}}}");
    await()
        .atMost(SOON)
        .ignoreExceptions()
        .until(() -> create("own", route("a.legal.example.com")));
    create("exact", route("contracts.example.com"));
    create("wildcard", route("'*.legal.example.com'"));
    create("silent", "");
    refused(
        () -> create("theirs", route("a.finance.example.com")),
        "spec.route.hostnames must be among those of namespace "
            + namespace
            + ": *.legal.example.com, contracts.example.com");
    refused(() -> create("near", route("legal.example.com")), "must be among");
    refused(() -> create("wider", route("'*.example.com'")), "must be among");
    refused(() -> create("all", "route: {parentRefs: [{name: g}]}"), "must be among");
  }

  @Test
  void whatIsProtectedIsDeletedOnPurposeOnly() {
    client.resource(WrittenManifests.deployment("kept", namespace, RETAINED, "")).create();
    client.resource(WrittenManifests.deployment("last", namespace, RETAINED, "")).create();
    create("dear", "");
    patch("dear", "{\"metadata\":{\"annotations\":{\"kvdrive.dev/protected\":\"true\"}}}");
    create("plain", "");
    apply("deletionProtection");

    awaitRefused(
        () -> deployment("kept").dryRun().delete(),
        "its retained volumes would go with it. To delete it all the same: kubectl annotate"
            + " --overwrite infd kept --namespace "
            + namespace
            + " kvdrive.dev/protected=false");
    refused(() -> delete("dear"), "this InferenceDeployment is protected. To delete it");
    delete("plain");
    for (String name : List.of("kept", "dear")) {
      patch(name, "{\"metadata\":{\"annotations\":{\"kvdrive.dev/protected\":\"false\"}}}");
      delete(name);
    }

    client.namespaces().withName(namespace).delete();
    await().atMost(SOON).ignoreExceptions().until(() -> delete("last"));
  }

  @Test
  void onlyTheOperatorWritesAStatus() {
    create("served", "");
    apply("ownStatus");
    String status = "{\"status\":{\"operator\":\"%s\"}}";

    awaitRefused(
        () -> writeStatus(client, status.formatted("mine")),
        "only system:serviceaccount:" + namespace + ":policy-operator");
    patch("served", "{\"metadata\":{\"labels\":{\"team\":\"legal\"}}}");
    try (KubernetesClient operator = operator()) {
      writeStatus(operator, status.formatted("theirs"));
    }
    assertThat(deployment("served").get().getStatus().operator()).isEqualTo("theirs");
  }

  private void writeStatus(KubernetesClient by, String status) {
    by.resources(InferenceDeployment.class)
        .inNamespace(namespace)
        .withName("served")
        .subresource("status")
        .patch(PatchContext.of(PatchType.JSON_MERGE), status);
  }

  /** With every right, so that only the policy decides. */
  private KubernetesClient operator() {
    Config config = server.config();
    config.setImpersonateUsername("system:serviceaccount:" + namespace + ":policy-operator");
    config.setImpersonateGroups("system:masters");
    return new KubernetesClientBuilder().withConfig(config).build();
  }

  private static String route(String hostname) {
    return "route: {parentRefs: [{name: g}], hostnames: [%s]}".formatted(hostname);
  }

  private void apply(String rule) {
    String rendered =
        Helm.template(
            "policy",
            namespace,
            "--set",
            "admission." + rule + "=true,watch.namespaces={" + namespace + "}",
            "--show-only",
            "templates/admission.yaml");
    client
        .load(new ByteArrayInputStream(rendered.getBytes(StandardCharsets.UTF_8)))
        .items()
        .forEach(object -> applied.add(client.resource(object).serverSideApply()));
  }

  private boolean create(String name, String more) {
    client.resource(WrittenManifests.deployment(name, namespace, more)).create();
    return true;
  }

  /** Tries without doing. */
  private ThrowingCallable probe(String more) {
    return () ->
        client.resource(WrittenManifests.deployment("probe", namespace, more)).dryRun().create();
  }

  private boolean delete(String name) {
    deployment(name).delete();
    return true;
  }

  private void patch(String name, String merge) {
    deployment(name).patch(PatchContext.of(PatchType.JSON_MERGE), merge);
  }

  private Resource<InferenceDeployment> deployment(String name) {
    return client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name);
  }

  private static void refused(ThrowingCallable what, String words) {
    assertThatThrownBy(what)
        .isInstanceOf(KubernetesClientException.class)
        .hasMessageContaining(words);
  }

  /** The API server learns of a policy in its own time; until then it may do what it is asked. */
  private static void awaitRefused(ThrowingCallable what, String words) {
    await()
        .atMost(SOON)
        .untilAsserted(
            () -> {
              try {
                what.call();
              } catch (KubernetesClientException refusal) {
                assertThat(refusal.getMessage()).contains(words);
                return;
              }
              throw new AssertionError("not refused yet");
            });
  }
}

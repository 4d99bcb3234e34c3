package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import io.fabric8.kubeapitest.KubeAPIServer;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.dsl.FieldValidateable.Validation;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The examples for Argo CD and Flux on a cluster that has nothing but these: applied in their
 * order, then done what they say as the tool would do it. Nothing else makes a namespace.
 */
class GitOpsTest {
  private static final Path EXAMPLES = Path.of("../examples/gitops");
  private static final Path FOREIGN = Path.of("src/test/foreign-definitions.yaml");

  @TempDir private Path folder = Path.of("");

  @Test
  void argoCdsWorksOnAnEmptyCluster() throws IOException {
    onAnEmptyCluster(
        "argocd",
        "argocd/application.yaml",
        client -> {
          GenericKubernetesResource operator = get(client, "Application", "argocd", "kvdrive");
          install(
              client,
              Objects.requireNonNull(operator.get("spec", "destination", "namespace")),
              createsNamespace(operator),
              operator.get("spec", "source", "helm", "valuesObject"));
          GenericKubernetesResource endpoints = get(client, "Application", "argocd", "endpoints");
          assertThat(createsNamespace(endpoints)).isFalse();
          deploy(client, Objects.requireNonNull(endpoints.get("spec", "destination", "namespace")));
        });
  }

  @Test
  void fluxsWorksOnAnEmptyCluster() throws IOException {
    onAnEmptyCluster(
        "flux-system",
        "flux/kvdrive.yaml",
        client -> {
          GenericKubernetesResource operator = get(client, "HelmRelease", "flux-system", "kvdrive");
          install(
              client,
              Objects.requireNonNull(operator.get("spec", "targetNamespace")),
              Boolean.TRUE.equals(operator.get("spec", "install", "createNamespace")),
              operator.get("spec", "values"));
          GenericKubernetesResource endpoints =
              get(client, "Kustomization", "flux-system", "endpoints");
          deploy(client, Objects.requireNonNull(endpoints.get("spec", "targetNamespace")));
        });
  }

  /** Throws what it cannot do. */
  private interface Work {
    void on(KubernetesClient client) throws IOException;
  }

  private static void onAnEmptyCluster(String toolsNamespace, String example, Work work)
      throws IOException {
    KubeAPIServer server = ApiServer.startEmpty();
    try (KubernetesClient client =
        new KubernetesClientBuilder()
            .withConfig(Config.fromKubeconfig(server.getKubeConfigYaml()))
            .build()) {
      try (InputStream foreign = Files.newInputStream(FOREIGN)) {
        for (HasMetadata definition : client.load(foreign).serverSideApply()) {
          ApiServer.awaitEstablished(client, (CustomResourceDefinition) definition);
        }
      }
      makeNamespace(client, toolsNamespace);
      try (InputStream in = Files.newInputStream(EXAMPLES.resolve(example))) {
        for (HasMetadata object : client.load(in).items()) {
          client.resource(object).fieldValidation(Validation.STRICT).create();
        }
      }
      work.on(client);
    } finally {
      server.stop();
    }
  }

  private void install(
      KubernetesClient client, String namespace, boolean createNamespace, @Nullable Object values)
      throws IOException {
    if (createNamespace) {
      makeNamespace(client, namespace);
    }
    Path file = folder.resolve("values.json");
    Files.writeString(file, client.getKubernetesSerialization().asJson(values));
    String rendered =
        Helm.run(
                "helm",
                "template",
                "kvdrive",
                Helm.CHART.toString(),
                "--namespace",
                namespace,
                "--kube-version",
                "1.34.4",
                "--values",
                file.toString())
            .output();
    for (HasMetadata object :
        client.load(new ByteArrayInputStream(rendered.getBytes(StandardCharsets.UTF_8))).items()) {
      client.resource(object).serverSideApply();
    }
  }

  /** What lies in the team's repository; its namespace has to be there. */
  private static void deploy(KubernetesClient client, String namespace) {
    client
        .apiextensions()
        .v1()
        .customResourceDefinitions()
        .withName("inferencedeployments.kvdrive.dev")
        .waitUntilCondition(d -> d != null && ApiServer.established(d), 30, TimeUnit.SECONDS);
    client.resource(WrittenManifests.deployment("endpoint", namespace, "")).create();
    assertThat(
            client
                .resources(InferenceDeployment.class)
                .inNamespace(namespace)
                .withName("endpoint")
                .get())
        .isNotNull();
    assertThat(client.rbac().roles().inNamespace(namespace).list().getItems()).isNotEmpty();
  }

  private static GenericKubernetesResource get(
      KubernetesClient client, String kind, String namespace, String name) {
    String apiVersion =
        Map.of(
                "Application", "argoproj.io/v1alpha1",
                "HelmRelease", "helm.toolkit.fluxcd.io/v2",
                "Kustomization", "kustomize.toolkit.fluxcd.io/v1")
            .get(kind);
    return client
        .genericKubernetesResources(apiVersion, kind)
        .inNamespace(namespace)
        .withName(name)
        .require();
  }

  private static boolean createsNamespace(GenericKubernetesResource application) {
    List<String> options = application.get("spec", "syncPolicy", "syncOptions");
    return options != null && options.contains("CreateNamespace=true");
  }

  private static void makeNamespace(KubernetesClient client, String name) {
    client
        .resource(new NamespaceBuilder().withNewMetadata().withName(name).endMetadata().build())
        .create();
  }
}

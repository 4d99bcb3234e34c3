package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.Helm.Outcome;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Installing, going and coming back, by helm itself. */
class HelmReleaseTest {
  private static final String OWNER = "meta.helm.sh/release-name";

  @TempDir private Path folder = Path.of("");
  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private String namespace = "";

  @BeforeEach
  void kubeconfig() throws IOException {
    Files.writeString(folder.resolve("kubeconfig"), server.kubeconfig());
    namespace = server.newNamespace();
  }

  @AfterEach
  void uninstall() {
    helm("uninstall", "first", "--ignore-not-found");
    helm("uninstall", "second", "--ignore-not-found");
  }

  @Test
  void whatWasUninstalledComesBackUnderAnotherNameWithEveryDeployment() {
    // The tests' API server has the definitions already, from no release.
    assertThat(install("first", "--take-ownership").exitCode()).isZero();
    client.resource(WrittenManifests.deployment("kept", namespace, "")).create();
    assertThat(owner()).isEqualTo("first");

    assertThat(helm("uninstall", "first").exitCode()).isZero();
    assertThat(install("second"))
        .satisfies(
            refused -> {
              assertThat(refused.exitCode()).isNotZero();
              assertThat(refused.output()).contains("invalid ownership metadata");
            });
    Outcome second = install("second", "--take-ownership");

    assertThat(second.exitCode()).as(second.output()).isZero();
    assertThat(owner()).isEqualTo("second");
    assertThat(
            client
                .resources(InferenceDeployment.class)
                .inNamespace(namespace)
                .withName("kept")
                .get())
        .isNotNull();
  }

  private Outcome install(String release, String... more) {
    List<String> arguments = new ArrayList<>(List.of("install", release, Helm.CHART.toString()));
    arguments.addAll(List.of(more));
    return helm(arguments.toArray(String[]::new));
  }

  private Outcome helm(String... arguments) {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(
        List.of("--kubeconfig", folder.resolve("kubeconfig").toString(), "--namespace", namespace));
    return Helm.run("helm", all.toArray(String[]::new));
  }

  private String owner() {
    return client
        .apiextensions()
        .v1()
        .customResourceDefinitions()
        .withName("inferencedeployments.kvdrive.dev")
        .get()
        .getMetadata()
        .getAnnotations()
        .getOrDefault(OWNER, "");
  }
}

package dev.kvdrive.cli.cluster;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.observed.ApiServerPrograms;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.RuntimeContainer;
import io.fabric8.kubeapitest.KubeAPIServer;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodStatusBuilder;
import io.fabric8.kubernetes.api.model.ServiceAccountBuilder;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.authentication.TokenRequestBuilder;
import io.fabric8.kubernetes.api.model.rbac.PolicyRule;
import io.fabric8.kubernetes.api.model.rbac.RoleBindingBuilder;
import io.fabric8.kubernetes.api.model.rbac.RoleBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A real API server with the project's definitions and no controller or kubelet: what they would
 * write, tests do. Shared by the tests of a run.
 */
public final class TestCluster implements AutoCloseable {
  private static final Path DEFINITIONS = Path.of("../../crds/src/main/crds");
  private static final AtomicInteger NAMES = new AtomicInteger();

  private static final class Holder {
    static final TestCluster INSTANCE = shared();

    private static TestCluster shared() {
      TestCluster cluster = new TestCluster();
      Runtime.getRuntime().addShutdownHook(new Thread(cluster::close));
      cluster.installDefinitions();
      return cluster;
    }
  }

  private final KubeAPIServer server;
  private final KubernetesClient client;
  private final Config config;
  private final Path folder;

  private TestCluster() {
    server = new KubeAPIServer(ApiServerPrograms.configuration().build());
    server.start();
    config = Config.fromKubeconfig(server.getKubeConfigYaml());
    client = new KubernetesClientBuilder().withConfig(config).build();
    try {
      folder = Files.createTempDirectory("kvdrive-kubeconfig");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Another cluster, without definitions, for the caller to close; aborts the test as {@link #get}.
   */
  public static TestCluster startEmpty() {
    return new TestCluster();
  }

  private void installDefinitions() {
    for (String plural : List.of("inferencedeployments", "inferenceclasses")) {
      install(
          client
              .apiextensions()
              .v1()
              .customResourceDefinitions()
              .load(DEFINITIONS.resolve(plural + ".kvdrive.dev.yaml").toFile())
              .item());
    }
  }

  /** Installs a definition and waits until it is served. */
  public void install(CustomResourceDefinition definition) {
    client
        .resource(client.resource(definition).serverSideApply())
        .waitUntilCondition(
            d ->
                d.getStatus() != null
                    && d.getStatus().getConditions() != null
                    && d.getStatus().getConditions().stream()
                        .anyMatch(
                            c -> c.getType().equals("Established") && c.getStatus().equals("True")),
            30,
            TimeUnit.SECONDS);
  }

  /** The cluster; aborts the test where its programs have not been built. */
  public static TestCluster get() {
    ApiServerPrograms.assumeBuilt();
    return Holder.INSTANCE;
  }

  /** Administrator's client. */
  public KubernetesClient client() {
    return client;
  }

  /** A new namespace. */
  public String newNamespace() {
    String name = "test-" + NAMES.incrementAndGet();
    client
        .namespaces()
        .resource(new NamespaceBuilder().withNewMetadata().withName(name).endMetadata().build())
        .create();
    return name;
  }

  /** The administrator's kubeconfig, whose context {@code test} is of a namespace. */
  public String kubeconfig(String namespace) {
    return write(namespace, config.getMasterUrl(), clientCertificate());
  }

  /** A kubeconfig as of {@link #kubeconfig}, of a server at another address. */
  public String kubeconfigOf(String server) {
    return write("default", server, clientCertificate());
  }

  /** A kubeconfig of somebody whom nobody knows. */
  public String kubeconfigOfNobody() {
    return write("default", config.getMasterUrl(), "token: none-that-was-given");
  }

  /** A kubeconfig of an account with these rights in a namespace, and no others. */
  public String kubeconfigOf(String namespace, PolicyRule... rights) {
    String name = "account-" + NAMES.incrementAndGet();
    client
        .resource(
            new ServiceAccountBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace(namespace)
                .endMetadata()
                .build())
        .create();
    client
        .resource(
            new RoleBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace(namespace)
                .endMetadata()
                .withRules(rights)
                .build())
        .create();
    client
        .resource(
            new RoleBindingBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace(namespace)
                .endMetadata()
                .withNewRoleRef("rbac.authorization.k8s.io", "Role", name)
                .addNewSubject("", "ServiceAccount", name, namespace)
                .build())
        .create();
    String token =
        client
            .serviceAccounts()
            .inNamespace(namespace)
            .withName(name)
            .tokenRequest(
                new TokenRequestBuilder()
                    .withNewSpec()
                    .withExpirationSeconds(3600L)
                    .endSpec()
                    .build())
            .getStatus()
            .getToken();
    return write(namespace, config.getMasterUrl(), "token: " + token);
  }

  private String clientCertificate() {
    return "client-certificate-data: %s\n    client-key-data: %s"
        .formatted(
            data(config.getClientCertData(), config.getClientCertFile()),
            data(config.getClientKeyData(), config.getClientKeyFile()));
  }

  private static String data(@Nullable String inline, @Nullable String file) {
    try {
      return inline != null
          ? inline
          : Base64.getEncoder().encodeToString(Files.readAllBytes(Path.of(String.valueOf(file))));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private String write(String namespace, String server, String user) {
    try {
      Path file = folder.resolve("config-" + NAMES.incrementAndGet());
      return Files.writeString(
              file,
              """
              apiVersion: v1
              kind: Config
              current-context: test
              clusters:
              - name: test
                cluster:
                  server: %s
                  certificate-authority-data: %s
              contexts:
              - name: test
                context: {cluster: test, user: test, namespace: %s}
              users:
              - name: test
                user:
                  %s
              """
                  .formatted(
                      server,
                      data(config.getCaCertData(), config.getCaCertFile()),
                      namespace,
                      user))
          .toString();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Applies a deployment, and its status if it has one. */
  public InferenceDeployment apply(InferenceDeployment deployment) {
    InferenceDeployment created = client.resource(deployment).create();
    if (deployment.getStatus() == null) {
      return created;
    }
    created.setStatus(deployment.getStatus());
    return client.resource(created).updateStatus();
  }

  /**
   * A pod of a deployment, as the operator makes them, with what the kubelet would write.
   *
   * @param node that it is on; null for none
   * @param address where its ports are said to be; null for none
   */
  public Pod pod(
      String namespace,
      String deployment,
      String name,
      @Nullable String node,
      int port,
      @Nullable String address,
      @Nullable ContainerStatus status,
      Map<String, String> annotations) {
    Pod pod =
        client
            .resource(
                new PodBuilder()
                    .withNewMetadata()
                    .withName(name)
                    .withNamespace(namespace)
                    .withLabels(Labels.selector(deployment))
                    .addToLabels(Labels.MANAGED_BY, Labels.OPERATOR)
                    .withAnnotations(annotations)
                    .endMetadata()
                    .withNewSpec()
                    .withNodeName(node)
                    .addNewContainer()
                    .withName(RuntimeContainer.NAME)
                    .withImage("kvdrive/runtime:test")
                    .addNewPort()
                    .withName(RuntimeContainer.PORT_NAME)
                    .withContainerPort(port)
                    .endPort()
                    .endContainer()
                    .endSpec()
                    .build())
            .create();
    setStatus(pod, status == null ? "Pending" : "Running", address, status);
    return pod;
  }

  /** What a kubelet would write of a pod. */
  public void setStatus(
      Pod pod, String phase, @Nullable String address, @Nullable ContainerStatus status) {
    PodStatusBuilder written =
        new PodStatusBuilder()
            .withPhase(phase)
            .withPodIP(address)
            .withStartTime(Instant.now().toString());
    if (address != null) {
      written.addNewPodIP(address);
    }
    if (status != null) {
      written.addToContainerStatuses(status);
    }
    Pod current =
        client
            .pods()
            .inNamespace(pod.getMetadata().getNamespace())
            .withName(pod.getMetadata().getName())
            .get();
    current.setStatus(written.build());
    client.resource(current).updateStatus();
  }

  @Override
  public void close() {
    client.close();
    server.stop();
  }
}

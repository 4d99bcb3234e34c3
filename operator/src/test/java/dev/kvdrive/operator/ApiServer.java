package dev.kvdrive.operator;

import dev.kvdrive.observed.ApiServerPrograms;
import io.fabric8.kubeapitest.KubeAPIServer;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/**
 * One real API server (etcd and kube-apiserver as processes, no controllers) with the project's
 * definitions and with volumes of images, shared by the tests of a run. Where its programs have not
 * been built, tests that need it are skipped; where {@value #REQUIRED} is set they must have been.
 */
public final class ApiServer {
  static final String REQUIRED = ApiServerPrograms.REQUIRED;

  /** Records what service accounts do; nothing of the administrator. */
  private static final Path AUDIT_POLICY = Path.of("src/test/audit-policy.yaml");

  /** What other projects publish of their kinds, beside the programs. */
  private static final List<String> GATEWAY_API =
      List.of("gateway-api-v1.4.1", "gateway-api-inference-extension-v1.2.1");

  private static final List<String> KEDA = List.of("keda-v2.20.2", "keda-http-add-on-v0.15.0");

  private static final Path DEFINITIONS = Path.of("../crds/src/main/crds");
  private static final AtomicInteger NAMESPACES = new AtomicInteger();

  private static final class Holder {
    static final ApiServer INSTANCE = new ApiServer();
  }

  private final KubernetesClient client;
  private final String kubeconfig;
  private final Path auditLog;

  private ApiServer() {
    this.auditLog = newAuditLog();
    KubeAPIServer server =
        new KubeAPIServer(
            ApiServerPrograms.configuration()
                .withApiServerFlag("--audit-policy-file=" + AUDIT_POLICY.toAbsolutePath())
                .withApiServerFlag("--audit-log-path=" + auditLog)
                .withApiServerFlag("--feature-gates=ImageVolume=true")
                .build());
    server.start();
    Runtime.getRuntime().addShutdownHook(new Thread(server::stop));
    this.kubeconfig = server.getKubeConfigYaml();
    this.client =
        new KubernetesClientBuilder().withConfig(Config.fromKubeconfig(kubeconfig)).build();
    define(client);
  }

  /** Installs the definitions of this project on a server. */
  static void define(KubernetesClient client) {
    for (String plural : List.of("inferencedeployments", "inferenceclasses")) {
      awaitEstablished(
          client,
          client
              .apiextensions()
              .v1()
              .customResourceDefinitions()
              .load(DEFINITIONS.resolve(plural + ".kvdrive.dev.yaml").toFile())
              .serverSideApply());
    }
  }

  /** One more server, without any definition, for the caller to stop; skips as {@link #get}. */
  static KubeAPIServer startEmpty() {
    KubeAPIServer server = new KubeAPIServer(ApiServerPrograms.configuration().build());
    server.start();
    return server;
  }

  /** The server; aborts the test where there is none. */
  public static ApiServer get() {
    ApiServerPrograms.assumeBuilt();
    return Holder.INSTANCE;
  }

  /**
   * Installs the published definitions of the Gateway API and its Inference Extension on a server;
   * skips as {@link #get}.
   */
  public static List<CustomResourceDefinition> installGatewayApi(KubernetesClient client) {
    return install(client, GATEWAY_API);
  }

  /** As {@link #installGatewayApi}, without the Inference Extension. */
  static List<CustomResourceDefinition> installGatewayApiAlone(KubernetesClient client) {
    return install(client, GATEWAY_API.subList(0, 1));
  }

  /** Installs KEDA's published definitions on a server; skips as {@link #get}. */
  static void installKeda(KubernetesClient client) {
    install(client, KEDA);
  }

  private static List<CustomResourceDefinition> install(
      KubernetesClient client, List<String> published) {
    List<CustomResourceDefinition> definitions = new ArrayList<>();
    for (String name : published) {
      Path folder = ApiServerPrograms.cache().resolve(name);
      if (System.getenv(REQUIRED) == null) {
        Assumptions.assumeTrue(
            Files.isDirectory(folder),
            () -> folder + " is not there (./kvdrive cluster up takes it from the Go proxy)");
      }
      try (Stream<Path> files = Files.list(folder)) {
        for (Path file : files.sorted().toList()) {
          definitions.add(
              client
                  .apiextensions()
                  .v1()
                  .customResourceDefinitions()
                  .load(file.toFile())
                  .serverSideApply());
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    definitions.forEach(definition -> awaitEstablished(client, definition));
    return definitions;
  }

  /** Administrator's client. */
  public KubernetesClient client() {
    return client;
  }

  /** A new client as the operator's own, with the administrator's rights. */
  public KubernetesClient newClient() {
    return OperatorBeans.client(config());
  }

  /** The administrator's configuration; what cannot be watched is tried again soon. */
  public Config config() {
    Config config = Config.fromKubeconfig(kubeconfig);
    config.setWatchReconnectInterval(100);
    return config;
  }

  /** The administrator's kubeconfig. */
  public String kubeconfig() {
    return kubeconfig;
  }

  /** A client as the operator's own that acts as a service account, with its rights only. */
  public KubernetesClient newClientAs(String namespace, String serviceAccount) {
    Config config = config();
    config.setImpersonateUsername(
        "system:serviceaccount:%s:%s".formatted(namespace, serviceAccount));
    return OperatorBeans.client(config);
  }

  /** What service accounts did: one JSON event a line. */
  public Path auditLog() {
    return auditLog;
  }

  private static Path newAuditLog() {
    try {
      Path folder = Files.createTempDirectory("kvdrive-audit");
      Path log = folder.resolve("audit.log");
      Runtime.getRuntime()
          .addShutdownHook(
              new Thread(
                  () -> {
                    log.toFile().delete();
                    folder.toFile().delete();
                  }));
      return log;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A new namespace with the restricted Pod Security level. */
  public String newNamespace() {
    String name = "test-" + NAMESPACES.incrementAndGet();
    client
        .namespaces()
        .resource(
            new NamespaceBuilder()
                .withNewMetadata()
                .withName(name)
                .addToLabels("pod-security.kubernetes.io/enforce", "restricted")
                .endMetadata()
                .build())
        .create();
    return name;
  }

  /** Makes a namespace if there is none of that name. */
  public void ensureNamespace(String name) {
    client
        .namespaces()
        .resource(new NamespaceBuilder().withNewMetadata().withName(name).endMetadata().build())
        .serverSideApply();
  }

  /** Waits until a definition of other projects is served. */
  public void awaitEstablished(CustomResourceDefinition definition) {
    awaitEstablished(client, definition);
  }

  /** As {@link #awaitEstablished(CustomResourceDefinition)}, on any server. */
  static void awaitEstablished(KubernetesClient client, CustomResourceDefinition definition) {
    client.resource(definition).waitUntilCondition(ApiServer::established, 30, TimeUnit.SECONDS);
  }

  static boolean established(CustomResourceDefinition definition) {
    return definition.getStatus() != null
        && definition.getStatus().getConditions() != null
        && definition.getStatus().getConditions().stream()
            .anyMatch(c -> c.getType().equals("Established") && c.getStatus().equals("True"));
  }
}

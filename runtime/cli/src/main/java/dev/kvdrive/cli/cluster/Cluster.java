package dev.kvdrive.cli.cluster;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.observed.stored.StoredObjects;
import io.fabric8.kubernetes.api.model.NamedContext;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * An API server, as the user's kubeconfig leads to it and with the user's rights. Questions either
 * must be answered ({@link #require}), or may stay open and are then told ({@link #read}).
 */
public final class Cluster implements AutoCloseable {
  /** How long a server may take to accept a connection: a person waits. */
  private static final int CONNECT_MILLIS = 5_000;

  private static final int ANSWER_MILLIS = 20_000;

  /** Once more, for a connection that the server has closed meanwhile; no more than that. */
  private static final int RETRIES = 1;

  private static final int MOST_OF_A_REFUSAL = 1 << 16;

  private static final String IN_CLUSTER_TOKEN =
      "/var/run/secrets/kubernetes.io/serviceaccount/token";

  private final KubernetesClient client;
  private final String server;
  private final String namespace;

  private Cluster(KubernetesClient client, String server, String namespace) {
    this.client = client;
    this.server = server;
    this.namespace = namespace;
  }

  /**
   * The cluster of a kubeconfig; nothing is asked of it yet.
   *
   * @param kubeconfig null for those that KUBECONFIG names, or the one at home
   * @param context null for its current one
   * @param namespace null for that of the context, or {@code default}
   * @throws IllegalArgumentException if an argument names what is not there
   * @throws ClusterException if there is no kubeconfig, or it leads nowhere
   */
  static Cluster open(
      @Nullable Path kubeconfig, @Nullable String context, @Nullable String namespace) {
    Config config = config(kubeconfig, context);
    config.setConnectionTimeout(CONNECT_MILLIS);
    config.setRequestTimeout(ANSWER_MILLIS);
    config.setRequestRetryBackoffLimit(RETRIES);
    String in =
        namespace != null
            ? namespace
            : config.getNamespace() == null || config.getNamespace().isBlank()
                ? "default"
                : config.getNamespace();
    NamedContext current = config.getCurrentContext();
    String server =
        "the API server %s%s"
            .formatted(
                config.getMasterUrl(), current == null ? "" : " of context " + current.getName());
    return new Cluster(
        new KubernetesClientBuilder()
            .withConfig(config)
            .withKubernetesSerialization(StoredObjects.serialization())
            .build(),
        server,
        in);
  }

  private static Config config(@Nullable Path kubeconfig, @Nullable String context) {
    if (kubeconfig != null && !Files.isReadable(kubeconfig)) {
      throw new IllegalArgumentException(
          "--kubeconfig %s: there is no such file that you may read".formatted(kubeconfig));
    }
    if (kubeconfig == null) {
      Collection<String> names = Config.getKubeconfigFilenames();
      boolean none = names.stream().noneMatch(name -> new File(name).isFile());
      if (none && !Files.isReadable(Path.of(IN_CLUSTER_TOKEN))) {
        throw new ClusterException(
            "there is no kubeconfig: %s is not there. Name one with --kubeconfig, or set KUBECONFIG to it"
                .formatted(String.join(", ", names)),
            null);
      }
    }
    Config config;
    try {
      config =
          kubeconfig != null
              ? Config.fromKubeconfig(context, kubeconfig.toFile())
              : Config.autoConfigure(context);
    } catch (KubernetesClientException | IllegalArgumentException e) {
      throw new ClusterException(
          "%s is no kubeconfig: %s"
              .formatted(
                  kubeconfig != null
                      ? kubeconfig
                      : String.join(", ", Config.getKubeconfigFilenames()),
                  Failure.plain(e)),
          e);
    }
    List<NamedContext> contexts =
        Objects.requireNonNullElse(config.getContexts(), List.<NamedContext>of());
    List<String> known = contexts.stream().map(NamedContext::getName).toList();
    if (context != null && !known.contains(context)) {
      throw new IllegalArgumentException(
          "there is no context '%s' in the kubeconfig; %s"
              .formatted(
                  context,
                  known.isEmpty()
                      ? "it has none"
                      : "it has " + String.join(", ", Nearest.of(context, known))));
    }
    if (config.getCurrentContext() == null && !known.isEmpty()) {
      throw new ClusterException(
          "the kubeconfig has no current context; name one with --kube-context: %s"
              .formatted(String.join(", ", known)),
          null);
    }
    return config;
  }

  /** The client; what it throws is for {@link #require} and {@link #read} to put into words. */
  public KubernetesClient client() {
    return client;
  }

  /** The namespace that is meant where nobody says another. */
  public String namespace() {
    return namespace;
  }

  /** The address of the API server, and the context that names it. */
  public String server() {
    return server;
  }

  /**
   * An answer without which there is nothing to say.
   *
   * @throws ClusterException if there is none
   */
  public <T> T require(Ask ask, Supplier<T> question) {
    try {
      return question.get();
    } catch (KubernetesClientException e) {
      throw new ClusterException(Failure.words(e, ask, server), e);
    }
  }

  /** An answer that a report can do without. */
  public <T> Read<T> read(Ask ask, Supplier<T> question) {
    try {
      return Read.of(question.get());
    } catch (KubernetesClientException e) {
      return Read.not(Failure.words(e, ask, server));
    }
  }

  /**
   * The deployments of a namespace, those that cannot be read among them.
   *
   * @param in null for all namespaces
   * @throws ClusterException if they cannot be listed
   */
  public List<InferenceDeployment> deployments(@Nullable String in) {
    try {
      return list(in);
    } catch (KubernetesClientException e) {
      throw new ClusterException(
          notInstalled(e) ? noDefinition() : Failure.words(e, deploymentsOf("list", in), server),
          e);
    }
  }

  private List<InferenceDeployment> list(@Nullable String in) {
    var deployments = client.resources(InferenceDeployment.class);
    return (in == null ? deployments.inAnyNamespace() : deployments.inNamespace(in))
        .list()
        .getItems();
  }

  /**
   * One deployment of {@link #namespace}.
   *
   * @throws ClusterException if there is none of that name; it names those that are like it
   */
  public InferenceDeployment deployment(String name) {
    @Nullable InferenceDeployment found;
    try {
      found =
          client.resources(InferenceDeployment.class).inNamespace(namespace).withName(name).get();
    } catch (KubernetesClientException e) {
      throw new ClusterException(Failure.words(e, deploymentsOf("get", namespace), server), e);
    }
    if (found == null) {
      throw new ClusterException(notThere(name), null);
    }
    return found;
  }

  private String notThere(String name) {
    String missing =
        "there is no InferenceDeployment %s in namespace %s".formatted(name, namespace);
    List<String> here;
    try {
      here = list(namespace).stream().map(d -> d.getMetadata().getName()).toList();
    } catch (KubernetesClientException e) {
      return notInstalled(e) ? noDefinition() : missing + "; which there are you may not list";
    }
    String elsewhere =
        read(deploymentsOf("list", null), () -> list(null))
            .map(
                all ->
                    all.stream()
                        .filter(d -> d.getMetadata().getName().equals(name))
                        .map(d -> "-n " + d.getMetadata().getNamespace())
                        .sorted()
                        .collect(Collectors.joining(" or ")))
            .orElse("");
    if (!elsewhere.isEmpty()) {
      return missing + "; there is one with " + elsewhere;
    }
    return here.isEmpty()
        ? missing + ", nor any other; name another namespace with -n, or see all with 'status -A'"
        : "%s; there %s %s"
            .formatted(
                missing,
                here.size() == 1 ? "is" : "are",
                String.join(", ", Nearest.of(name, here)));
  }

  /**
   * Asks for an address, with the user's rights.
   *
   * @param path below the server's address, without a slash before it
   * @param as String, or InputStream for what goes on
   * @param patience until the answer begins; null for as long as it takes
   */
  public <T> CompletableFuture<HttpResponse<T>> ask(
      String path, Class<T> as, @Nullable Duration patience) {
    HttpRequest.Builder request =
        client.getHttpClient().newHttpRequestBuilder().uri(client.getMasterUrl() + path);
    if (patience != null) {
      request.timeout(patience.toMillis(), TimeUnit.MILLISECONDS);
    } else {
      request.forStreaming();
    }
    return client.getHttpClient().sendAsync(request.build(), as);
  }

  /**
   * What came of {@link #ask}.
   *
   * @throws KubernetesClientException if nothing did, or a refusal
   */
  public <T> T answer(CompletableFuture<HttpResponse<T>> asked) {
    HttpResponse<T> response;
    try {
      response = asked.get();
    } catch (ExecutionException e) {
      throw new KubernetesClientException(
          String.valueOf(e.getCause() == null ? e.getMessage() : e.getCause().getMessage()),
          e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new KubernetesClientException("interrupted", e);
    }
    if (response.isSuccessful()) {
      return response.body();
    }
    String body = text(response.body());
    Status status;
    try {
      status = client.getKubernetesSerialization().unmarshal(body, Status.class);
    } catch (RuntimeException e) { // whatever stands between says it in its own form
      status = null;
    }
    if (status == null || status.getMessage() == null) {
      status =
          new StatusBuilder()
              .withCode(response.code())
              .withMessage("status %d %s".formatted(response.code(), body.strip()).strip())
              .build();
    }
    throw new KubernetesClientException(status.getMessage(), response.code(), status);
  }

  private static String text(@Nullable Object body) {
    try {
      return switch (body) {
        case null -> "";
        case InputStream stream ->
            new String(stream.readNBytes(MOST_OF_A_REFUSAL), StandardCharsets.UTF_8);
        default -> body.toString();
      };
    } catch (IOException e) {
      return "";
    }
  }

  /** A server that does not know a kind says that there is nothing at its address. */
  private static boolean notInstalled(Throwable failure) {
    return Objects.equals(Failure.code(failure), HttpURLConnection.HTTP_NOT_FOUND);
  }

  private String noDefinition() {
    return "%s has no InferenceDeployments: their definition (inferencedeployments.kvdrive.dev) is not installed; install the chart helm/kvdrive, or name another cluster with --kube-context or --kubeconfig"
        .formatted(server);
  }

  private static Ask deploymentsOf(String verb, @Nullable String in) {
    return new Ask(verb, InferenceDeployment.GROUP, "inferencedeployments", in);
  }

  @Override
  public void close() {
    client.close();
  }
}

package dev.kvdrive.operator.usage;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kvdrive.observed.usage.Exposition;
import dev.kvdrive.observed.usage.TierUsage;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the metrics of running pods, directly and all at once. A pod that does not answer in time,
 * or at all too much, counts nothing: what the status shows of the tiers is a service, not a
 * condition. Whether a disk fails is one; a pod that knows answers and says so, although it is not
 * ready.
 *
 * <p>A question to the pods ends within {@code patience}, and what has not ended by then is broken
 * off: no connection and no thread outlives it.
 */
public final class TierMeter {
  private static final Logger log = LoggerFactory.getLogger(TierMeter.class);
  private static final Duration PATIENCE = Duration.ofSeconds(2);
  private static final int MOST_PODS = 64;
  private static final String NO_WORDS = "its runtime reports kvdrive_nvme_healthy 0";
  private static final int MOST_BYTES = 1 << 20;

  /** What a runtime calls itself whose engine has failed. */
  private static final String FAILED = "failed";

  private record Answer(Pod pod, String text) {}

  /** How a runtime feels, in its own words. */
  private record Health(String status, String detail, String shortage) {
    static final Health UNKNOWN = new Health("", "", "");
  }

  private record Scrape(Pod pod, Exposition metrics) {}

  private final HttpClient http;
  private final Duration patience;
  private final int port;

  /**
   * For runtime pods.
   *
   * @param port of the metrics in every pod
   */
  public TierMeter(int port) {
    this(port, PATIENCE);
  }

  /**
   * @param patience for all exchanges of a question together, from connecting to the last byte
   */
  TierMeter(int port, Duration patience) {
    this.port = port;
    this.patience = patience;
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(patience)
            .followRedirects(HttpClient.Redirect.NEVER)
            .build();
  }

  /** Use of the tiers in those of {@code pods} that are ready, and the disks that fail. */
  public TierUsage read(List<Pod> pods) {
    List<Scrape> scrapes =
        ask(pods.stream().filter(TierMeter::isRunning).limit(MOST_PODS).toList(), "/metrics", 200)
            .stream()
            .map(answer -> new Scrape(answer.pod(), Exposition.parse(answer.text())))
            .toList();
    List<Pod> running = pods.stream().filter(TierMeter::isRunning).limit(MOST_PODS).toList();
    List<Pod> failing =
        scrapes.stream()
            .filter(s -> TierUsage.isNvmeFailing(s.metrics()))
            .map(Scrape::pod)
            .toList();
    Map<String, String> words = new HashMap<>();
    failing.forEach(pod -> words.put(pod.getMetadata().getName(), NO_WORDS));
    Map<String, String> engines = new HashMap<>();
    // What a runtime answers to its readiness probe while it is not ready.
    List<Pod> asked =
        running.stream().filter(pod -> !isReady(pod) || failing.contains(pod)).toList();
    for (Answer answer : ask(asked, "/health/ready", 503)) {
      Health health = health(answer.text());
      String name = answer.pod().getMetadata().getName();
      if (!health.detail().isBlank() && words.containsKey(name)) {
        words.put(name, health.detail());
      }
      if (!health.detail().isBlank() && health.status().equals(FAILED)) {
        engines.put(name, health.detail());
      }
    }
    Map<String, String> spent = new HashMap<>();
    List<Pod> full =
        scrapes.stream()
            .filter(s -> TierUsage.areWritesSpent(s.metrics()))
            .map(Scrape::pod)
            .toList();
    for (Answer answer : ask(full, "/health/ready", 200)) {
      String shortage = health(answer.text()).shortage();
      if (!shortage.isBlank()) {
        spent.put(answer.pod().getMetadata().getName(), shortage);
      }
    }
    Map<String, Long> requests = new HashMap<>();
    scrapes.stream()
        .filter(s -> isReady(s.pod()))
        .forEach(
            s ->
                TierUsage.requests(s.metrics())
                    .ifPresent(n -> requests.put(s.pod().getMetadata().getName(), n)));
    return TierUsage.of(
            scrapes.stream().filter(s -> isReady(s.pod())).map(Scrape::metrics).toList())
        .with(spent, words, engines, requests);
  }

  /** The answers of those of {@code pods} that answer with {@code status}. */
  private List<Answer> ask(List<Pod> pods, String path, int status) {
    // These futures themselves are kept: only cancelling them breaks the exchange off.
    List<CompletableFuture<HttpResponse<String>>> exchanges =
        pods.stream().map(pod -> exchange(pod, path)).toList();
    long end = System.nanoTime() + patience.toNanos();
    List<Answer> answers = new ArrayList<>();
    try {
      for (int i = 0; i < exchanges.size(); i++) {
        Pod pod = pods.get(i);
        answer(pod, exchanges.get(i), status, end)
            .ifPresent(text -> answers.add(new Answer(pod, text)));
      }
    } finally {
      exchanges.forEach(exchange -> exchange.cancel(true));
    }
    return answers;
  }

  private CompletableFuture<HttpResponse<String>> exchange(Pod pod, String path) {
    String ip = pod.getStatus().getPodIP();
    String host = ip.contains(":") ? "[" + ip + "]" : ip;
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://%s:%d%s".formatted(host, port, path)))
            .timeout(patience)
            .build();
    return http.sendAsync(
        request,
        HttpResponse.BodyHandlers.limiting(
            HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8), MOST_BYTES));
  }

  private static Optional<String> answer(
      Pod pod, CompletableFuture<HttpResponse<String>> exchange, int status, long end) {
    String why;
    try {
      HttpResponse<String> response =
          exchange.get(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS);
      if (response.statusCode() == status) {
        return Optional.of(response.body());
      }
      why = "status " + response.statusCode();
    } catch (ExecutionException e) {
      why = String.valueOf(e.getCause());
    } catch (TimeoutException e) {
      why = "it took too long";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      why = "interrupted";
    }
    log.debug("No answer of pod {}: {}", pod.getMetadata().getName(), why);
    return Optional.empty();
  }

  private static Health health(String json) {
    try {
      JsonNode health = Serialization.unmarshal(json, JsonNode.class);
      return new Health(
          health.path("status").asText(),
          health.path("detail").asText(),
          health.path("shortage").asText());
    } catch (IllegalArgumentException | KubernetesClientException e) {
      return Health.UNKNOWN;
    }
  }

  private static boolean isRunning(Pod pod) {
    return pod.getStatus() != null
        && pod.getStatus().getPodIP() != null
        && "Running".equals(pod.getStatus().getPhase())
        && pod.getMetadata().getDeletionTimestamp() == null;
  }

  private static boolean isReady(Pod pod) {
    return pod.getStatus().getConditions().stream()
        .anyMatch(c -> "Ready".equals(c.getType()) && "True".equals(c.getStatus()));
  }
}

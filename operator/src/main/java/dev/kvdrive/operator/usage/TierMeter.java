package dev.kvdrive.operator.usage;

import io.fabric8.kubernetes.api.model.Pod;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the metrics of ready pods, directly and all at once. A pod that does not answer in time
 * counts nothing: what the status shows of the tiers is a service, not a condition.
 */
public final class TierMeter {
  private static final Logger log = LoggerFactory.getLogger(TierMeter.class);
  private static final Duration PATIENCE = Duration.ofSeconds(2);
  private static final int MOST_PODS = 64;
  private static final int MOST_BYTES = 1 << 20;

  private final HttpClient http =
      HttpClient.newBuilder()
          .connectTimeout(PATIENCE)
          .followRedirects(HttpClient.Redirect.NEVER)
          .build();
  private final int port;

  /**
   * @param port of the metrics in every pod
   */
  public TierMeter(int port) {
    this.port = port;
  }

  /** Use of the tiers in those of {@code pods} that are ready. */
  public TierUsage read(List<Pod> pods) {
    List<CompletableFuture<Optional<Exposition>>> answers =
        pods.stream().filter(TierMeter::isReady).limit(MOST_PODS).map(this::scrape).toList();
    return TierUsage.of(
        answers.stream().map(CompletableFuture::join).flatMap(Optional::stream).toList());
  }

  private CompletableFuture<Optional<Exposition>> scrape(Pod pod) {
    String ip = pod.getStatus().getPodIP();
    String host = ip.contains(":") ? "[" + ip + "]" : ip;
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://%s:%d/metrics".formatted(host, port)))
            .timeout(PATIENCE)
            .build();
    return http.sendAsync(request, HttpResponse.BodyHandlers.ofInputStream())
        .thenApply(TierMeter::exposition)
        .orTimeout(2 * PATIENCE.toMillis(), TimeUnit.MILLISECONDS)
        .exceptionally(
            failure -> {
              log.debug(
                  "No metrics of pod {}: {}", pod.getMetadata().getName(), failure.toString());
              return Optional.empty();
            });
  }

  private static Optional<Exposition> exposition(HttpResponse<InputStream> response) {
    try (InputStream body = response.body()) {
      if (response.statusCode() != 200) {
        return Optional.empty();
      }
      return Optional.of(
          Exposition.parse(new String(body.readNBytes(MOST_BYTES), StandardCharsets.UTF_8)));
    } catch (IOException e) {
      log.debug("Metrics were cut short: {}", e.toString());
      return Optional.empty();
    }
  }

  private static boolean isReady(Pod pod) {
    return pod.getStatus() != null
        && pod.getStatus().getPodIP() != null
        && pod.getMetadata().getDeletionTimestamp() == null
        && pod.getStatus().getConditions().stream()
            .anyMatch(c -> "Ready".equals(c.getType()) && "True".equals(c.getStatus()));
  }
}

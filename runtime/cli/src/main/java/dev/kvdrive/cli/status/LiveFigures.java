package dev.kvdrive.cli.status;

import dev.kvdrive.cli.cluster.Ask;
import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.Read;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.observed.RuntimeContainer;
import dev.kvdrive.observed.usage.Exposition;
import dev.kvdrive.observed.usage.TierUsage;
import dev.kvdrive.plan.ByteSize;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerPort;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;

/**
 * What pods say of themselves now, read through the API server, so that whoever may do that needs
 * no way into the cluster's network.
 */
final class LiveFigures {
  /** For all pods together: they are asked at once. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  private static final int MOST_PODS = 64;
  private static final int DEFAULT_PORT = 8080;
  private static final String UNKNOWN = "-";

  private final Cluster cluster;
  private final Map<String, Generated> before = new HashMap<>();

  private record Generated(double tokens, Instant at) {}

  /**
   * What one pod says.
   *
   * @param perSecond tokens generated a second since the last look; empty at the first
   */
  record OfPod(String pod, Exposition metrics, OptionalDouble perSecond) {}

  /**
   * What was read, and why not of the others.
   *
   * @param faults each reason with the pods that it is of
   */
  record Seen(List<OfPod> pods, Map<String, List<String>> faults) {}

  LiveFigures(Cluster cluster) {
    this.cluster = cluster;
  }

  Seen look(List<Pod> pods) {
    List<Pod> running =
        pods.stream()
            .filter(pod -> pod.getStatus() != null && "Running".equals(pod.getStatus().getPhase()))
            .limit(MOST_PODS)
            .toList();
    List<CompletableFuture<HttpResponse<String>>> asked =
        running.stream().map(pod -> cluster.ask(metricsOf(pod), String.class, PATIENCE)).toList();
    List<OfPod> answered = new ArrayList<>();
    Map<String, List<String>> faults = new LinkedHashMap<>();
    for (int i = 0; i < running.size(); i++) {
      Pod pod = running.get(i);
      CompletableFuture<HttpResponse<String>> exchange = asked.get(i);
      String name = pod.getMetadata().getName();
      Read<String> read =
          cluster.read(
              Ask.get("", "pods/proxy", pod.getMetadata().getNamespace()),
              () -> cluster.answer(exchange));
      if (read.value() == null) {
        faults
            .computeIfAbsent(Objects.requireNonNull(read.fault()), _ -> new ArrayList<>())
            .add(name);
      } else {
        answered.add(ofPod(pod, Exposition.parse(read.value())));
      }
    }
    return new Seen(answered, faults);
  }

  private OfPod ofPod(Pod pod, Exposition metrics) {
    Instant now = Instant.now();
    OptionalDouble tokens = sum(metrics, "kvdrive_completion_tokens_total", Map.of());
    Generated last =
        tokens.isEmpty()
            ? before.remove(pod.getMetadata().getUid())
            : before.put(pod.getMetadata().getUid(), new Generated(tokens.getAsDouble(), now));
    OptionalDouble perSecond = OptionalDouble.empty();
    if (last != null && tokens.isPresent() && tokens.getAsDouble() >= last.tokens()) {
      double seconds = Duration.between(last.at(), now).toMillis() / 1000.0;
      if (seconds > 0) {
        perSecond = OptionalDouble.of((tokens.getAsDouble() - last.tokens()) / seconds);
      }
    }
    return new OfPod(pod.getMetadata().getName(), metrics, perSecond);
  }

  private static String metricsOf(Pod pod) {
    int port =
        pod.getSpec().getContainers().stream()
            .map(Container::getPorts)
            .flatMap(List::stream)
            .filter(p -> RuntimeContainer.PORT_NAME.equals(p.getName()))
            .map(ContainerPort::getContainerPort)
            .findFirst()
            .orElse(DEFAULT_PORT);
    return "api/v1/namespaces/%s/pods/%s:%d/proxy/metrics"
        .formatted(pod.getMetadata().getNamespace(), pod.getMetadata().getName(), port);
  }

  /** A line for each pod. */
  static String text(Seen seen, String indent) {
    Columns columns =
        new Columns(
            indent,
            "POD",
            "RUNNING",
            "WAITING",
            "GENERATED",
            "TOKENS/S",
            "READ",
            "HITS",
            "MISSED",
            "KV GPU",
            "KV DRAM",
            "KV NVME");
    for (OfPod pod : seen.pods()) {
      Exposition m = pod.metrics();
      TierUsage usage = TierUsage.of(List.of(m));
      columns.row(
          List.of(
              pod.pod(),
              whole(sum(m, "kvdrive_requests_running", Map.of())),
              whole(sum(m, "kvdrive_requests_waiting", Map.of())),
              whole(sum(m, "kvdrive_completion_tokens_total", Map.of())),
              pod.perSecond().isPresent()
                  ? Quantities.rate(pod.perSecond().getAsDouble())
                  : UNKNOWN,
              whole(sum(m, "kvdrive_prompt_tokens_total", Map.of())),
              share(usage.hitRate("gpu")),
              usage.accuracy().samples() == 0
                  ? UNKNOWN
                  : share(
                      OptionalDouble.of(
                          usage.accuracy().massMissed() / usage.accuracy().samples())),
              bytes(sum(m, "kvdrive_tier_kv_bytes", Map.of("tier", "gpu"))),
              bytes(sum(m, "kvdrive_tier_kv_bytes", Map.of("tier", "dram"))),
              bytes(sum(m, "kvdrive_tier_kv_bytes", Map.of("tier", "nvme")))));
    }
    return seen.pods().isEmpty() ? "" : columns.text();
  }

  private static OptionalDouble sum(Exposition metrics, String name, Map<String, String> labels) {
    List<Exposition.Sample> found =
        metrics.samples().stream()
            .filter(s -> s.name().equals(name))
            .filter(s -> s.labels().entrySet().containsAll(labels.entrySet()))
            .toList();
    return found.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of(found.stream().mapToDouble(Exposition.Sample::value).sum());
  }

  private static String whole(OptionalDouble value) {
    return value.isPresent() ? Quantities.count(Math.round(value.getAsDouble())) : UNKNOWN;
  }

  private static String share(OptionalDouble value) {
    return value.isPresent()
        ? String.format(Locale.ROOT, "%.1f%%", 100 * value.getAsDouble())
        : UNKNOWN;
  }

  private static String bytes(OptionalDouble value) {
    return value.isPresent() ? ByteSize.human((long) value.getAsDouble()) : UNKNOWN;
  }
}

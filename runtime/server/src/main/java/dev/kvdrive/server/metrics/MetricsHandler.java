package dev.kvdrive.server.metrics;

import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.Serving.State;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import org.jspecify.annotations.Nullable;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;

/** {@code GET /metrics} in Prometheus' text format. */
public final class MetricsHandler {
  private static final MediaType FORMAT =
      MediaType.parseMediaType("text/plain;version=0.0.4;charset=utf-8");

  private final Serving serving;
  private final PrometheusMeterRegistry registry;
  private @Nullable EngineMetrics engine;

  public MetricsHandler(Serving serving, PrometheusMeterRegistry registry) {
    this.serving = serving;
    this.registry = registry;
  }

  /** The metrics as they are now; those of the engine from its start on. */
  public Mono<ServerResponse> scrape(ServerRequest request) {
    return Mono.fromSupplier(this::text)
        .flatMap(text -> ServerResponse.ok().contentType(FORMAT).bodyValue(text));
  }

  private synchronized String text() {
    if (engine == null && serving.state() instanceof State.Ready ready) {
      engine = new EngineMetrics(ready.model(), registry);
    }
    if (engine != null) {
      engine.refresh();
    }
    return registry.scrape();
  }
}

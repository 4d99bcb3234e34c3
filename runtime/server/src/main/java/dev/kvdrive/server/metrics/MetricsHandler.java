package dev.kvdrive.server.metrics;

import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.Serving.State;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import org.jspecify.annotations.Nullable;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;

/**
 * {@code GET /metrics} in Prometheus' text format, or in OpenMetrics', which alone has exemplars,
 * for those who ask for it.
 */
public final class MetricsHandler {
  private static final MediaType FORMAT =
      MediaType.parseMediaType("text/plain;version=0.0.4;charset=utf-8");

  private static final MediaType OPEN_METRICS =
      MediaType.parseMediaType("application/openmetrics-text;version=1.0.0;charset=utf-8");

  private final Serving serving;
  private final PrometheusMeterRegistry registry;
  private @Nullable EngineMetrics engine;

  public MetricsHandler(Serving serving, PrometheusMeterRegistry registry) {
    this.serving = serving;
    this.registry = registry;
  }

  /** The metrics as they are now; those of the engine from its start on. */
  public Mono<ServerResponse> scrape(ServerRequest request) {
    MediaType format =
        request.headers().accept().stream()
                .anyMatch(
                    wanted ->
                        wanted.getType().equals(OPEN_METRICS.getType())
                            && wanted.getSubtype().equals(OPEN_METRICS.getSubtype()))
            ? OPEN_METRICS
            : FORMAT;
    return Mono.fromSupplier(() -> text(format))
        .flatMap(text -> ServerResponse.ok().contentType(format).bodyValue(text));
  }

  private synchronized String text(MediaType format) {
    if (engine == null && serving.state() instanceof State.Ready ready) {
      engine = new EngineMetrics(ready.model(), registry);
    }
    if (engine != null) {
      engine.refresh();
    }
    return registry.scrape(format.toString());
  }
}

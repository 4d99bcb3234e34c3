package dev.kvdrive.server.tracing;

import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.server.generation.GenerationObserver;
import io.micrometer.tracing.Span;
import io.micrometer.tracing.TraceContext;
import io.micrometer.tracing.Tracer;
import io.micrometer.tracing.handler.TracingObservationHandler.TracingContext;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.springframework.http.server.reactive.observation.ServerRequestObservationContext;
import org.springframework.web.server.ServerWebExchange;

/** Finds the trace of a request, if it has one that somebody will see. */
public final class RequestTracing {
  private final @Nullable Tracer tracer;

  /**
   * @param tracer null where nothing is traced
   */
  public RequestTracing(@Nullable Tracer tracer) {
    this.tracer = tracer;
  }

  /** The sampled trace of a request; null if there is none. */
  public @Nullable TraceContext of(ServerWebExchange exchange) {
    Span span = span(exchange);
    if (span == null) {
      return null;
    }
    TraceContext trace = span.context();
    return Boolean.TRUE.equals(trace.sampled()) ? trace : null;
  }

  /**
   * Makes spans of the generations of a request once they have ended.
   *
   * @param operation in the words of OpenTelemetry: {@code chat}, {@code text_completion}
   * @param model its name in the API
   * @param other is told of the same
   * @return {@code other} where the request is not traced
   */
  public GenerationObserver observer(
      ServerWebExchange exchange,
      String operation,
      String model,
      List<GenerationRequest> generations,
      GenerationObserver other) {
    Span span = span(exchange);
    if (tracer == null || span == null || of(exchange) == null) {
      return other;
    }
    GenerationTrace trace =
        new GenerationTrace(tracer, span.context(), operation, model, generations, other);
    ServerRequestObservationContext.findCurrent(exchange.getAttributes())
        .ifPresent(context -> context.put(GenerationTrace.class, trace));
    return trace;
  }

  private static @Nullable Span span(ServerWebExchange exchange) {
    return ServerRequestObservationContext.findCurrent(exchange.getAttributes())
        .map(context -> context.<TracingContext>get(TracingContext.class))
        .map(TracingContext::getSpan)
        .orElse(null);
  }
}

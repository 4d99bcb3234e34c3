package dev.kvdrive.server.tracing;

import io.micrometer.tracing.Span;
import io.micrometer.tracing.Tracer;
import io.micrometer.tracing.handler.PropagatingReceiverTracingObservationHandler;
import io.micrometer.tracing.propagation.Propagator;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.server.reactive.ServerHttpResponse;
import org.springframework.http.server.reactive.observation.ServerRequestObservationContext;

/**
 * The span of a request: continues the caller's trace, and in the end says what became of it. What
 * an answer says of a wrong request may quote it, so exceptions never go into a span as they are.
 */
final class HttpSpans
    extends PropagatingReceiverTracingObservationHandler<ServerRequestObservationContext> {
  HttpSpans(Tracer tracer, Propagator propagator) {
    super(tracer, propagator);
  }

  @Override
  public void onError(ServerRequestObservationContext context) {
    // Told by the status of the answer, below.
  }

  @Override
  public void customizeReceiverSpan(ServerRequestObservationContext context, Span span) {
    GenerationTrace trace = context.get(GenerationTrace.class);
    if (trace != null) {
      trace.describe(span);
    }
    ServerHttpResponse response = context.getResponse();
    HttpStatusCode status = response == null ? null : response.getStatusCode();
    if (context.isConnectionAborted()) {
      SpanFailure.of("cancelled").mark(span);
    } else if (trace != null && trace.failure() != null) {
      trace.failure().mark(span);
    } else if (status != null && status.is5xxServerError()) {
      SpanFailure.of(Integer.toString(status.value())).mark(span);
    }
  }
}

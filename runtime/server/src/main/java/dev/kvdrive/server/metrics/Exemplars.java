package dev.kvdrive.server.metrics;

import io.prometheus.metrics.tracer.common.SpanContext;
import org.jspecify.annotations.Nullable;

/**
 * Says of which trace a time is that is recorded now. The engine's thread works for many requests
 * at once and is in no span, so each time brings its own. Thread-safe.
 */
public final class Exemplars implements SpanContext {
  private static final ThreadLocal<@Nullable Trace> current = new ThreadLocal<>();

  /**
   * A trace that is sampled.
   *
   * @param traceId 32 hexadecimal digits
   * @param spanId 16 hexadecimal digits
   */
  public record Trace(String traceId, String spanId) {}

  /** Records something as part of a trace. */
  void of(Trace trace, Runnable record) {
    current.set(trace);
    try {
      record.run();
    } finally {
      current.remove();
    }
  }

  @Override
  public @Nullable String getCurrentTraceId() {
    Trace trace = current.get();
    return trace == null ? null : trace.traceId();
  }

  @Override
  public @Nullable String getCurrentSpanId() {
    Trace trace = current.get();
    return trace == null ? null : trace.spanId();
  }

  @Override
  public boolean isCurrentSpanSampled() {
    return current.get() != null;
  }

  @Override
  public void markCurrentSpanAsExemplar() {
    // Sampled traces alone come here, and they are kept anyway.
  }
}

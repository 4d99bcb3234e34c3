package dev.kvdrive.server.tracing;

import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.Collection;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends spans to a collector that may not be there. Says so in the log when that begins, then every
 * ten minutes. When the runtime ends, what is under way has the time-out of a request to the
 * collector left, and no more. Thread-safe.
 */
final class CollectorExporter implements SpanExporter {
  private static final Logger log = LoggerFactory.getLogger(CollectorExporter.class);
  private static final Duration SAY_AGAIN = Duration.ofMinutes(10);

  private final SpanExporter otlp;
  private final String endpoint;
  private final LongSupplier clock;

  // guarded by this
  private boolean failing;
  private long saidNanos;
  private long lost;

  /**
   * @param otlp sends
   * @param endpoint where to, for the log
   * @param clock as {@link System#nanoTime}
   */
  CollectorExporter(SpanExporter otlp, String endpoint, LongSupplier clock) {
    this.otlp = otlp;
    this.endpoint = endpoint;
    this.clock = clock;
  }

  @Override
  public CompletableResultCode export(Collection<SpanData> spans) {
    int count = spans.size();
    CompletableResultCode sent = otlp.export(spans);
    sent.whenComplete(
        () -> {
          if (sent.isSuccess()) {
            arrived();
          } else {
            failed(count, sent.getFailureThrowable());
          }
        });
    return sent;
  }

  private synchronized void arrived() {
    if (failing) {
      failing = false;
      log.info("Traces reach {} again; {} spans were lost", endpoint, lost);
      lost = 0;
    }
  }

  private synchronized void failed(int spans, @Nullable Throwable cause) {
    lost += spans;
    long now = clock.getAsLong();
    if (failing && now - saidNanos < SAY_AGAIN.toNanos()) {
      return;
    }
    failing = true;
    saidNanos = now;
    log.warn(
        "Traces do not reach {} ({}); requests are answered all the same, {} spans are lost so far",
        endpoint,
        reason(cause),
        lost);
  }

  private static String reason(@Nullable Throwable failure) {
    if (failure == null) {
      return "no reason given";
    }
    Throwable cause = failure;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
  }

  @Override
  public CompletableResultCode flush() {
    return otlp.flush();
  }

  @Override
  public CompletableResultCode shutdown() {
    // The sender would wait for a request that nobody answers.
    Thread.ofVirtual().name("traces-shutdown").start(otlp::shutdown);
    return CompletableResultCode.ofSuccess();
  }
}

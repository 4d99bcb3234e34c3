package dev.kvdrive.server.tracing;

import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.Collection;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.SmartLifecycle;

/**
 * Sends spans to a collector that may not be there. Says so in the log when that begins, then every
 * ten minutes; and when the runtime ends, gives up what is under way after a second. Thread-safe.
 */
final class CollectorExporter implements SpanExporter, SmartLifecycle {
  private static final Logger log = LoggerFactory.getLogger(CollectorExporter.class);
  private static final Duration SAY_AGAIN = Duration.ofMinutes(10);
  private static final Duration LAST_WAIT = Duration.ofSeconds(1);

  private final SpanExporter otlp;
  private final String endpoint;
  private final LongSupplier clock;
  private final Set<CompletableResultCode> underWay = ConcurrentHashMap.newKeySet();
  private volatile boolean running;
  private volatile boolean givenUp;

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
    if (givenUp) {
      return CompletableResultCode.ofFailure();
    }
    int count = spans.size();
    CompletableResultCode result = new CompletableResultCode();
    underWay.add(result);
    CompletableResultCode sent = otlp.export(spans);
    sent.whenComplete(
        () -> {
          underWay.remove(result);
          if (sent.isSuccess()) {
            arrived();
            result.succeed();
          } else {
            failed(count, sent.getFailureThrowable());
            result.fail();
          }
        });
    return result;
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
    return givenUp ? CompletableResultCode.ofSuccess() : otlp.flush();
  }

  @Override
  public CompletableResultCode shutdown() {
    // The sender would wait for a request that nobody answers.
    Thread.ofVirtual().name("traces-shutdown").start(otlp::shutdown);
    return CompletableResultCode.ofSuccess();
  }

  @Override
  public void start() {
    running = true;
  }

  /** What has not arrived soon is not waited for, however long the SDK would. */
  @Override
  public void stop() {
    running = false;
    Thread.ofVirtual()
        .name("traces-end")
        .start(
            () -> {
              try {
                Thread.sleep(LAST_WAIT);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
              givenUp = true;
              underWay.forEach(CompletableResultCode::fail);
            });
  }

  @Override
  public boolean isRunning() {
    return running;
  }

  /** The last to be told: whatever still generates or answers has ended. */
  @Override
  public int getPhase() {
    return Integer.MIN_VALUE;
  }
}

package dev.kvdrive.server.tracing;

import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.SmartLifecycle;

/**
 * Sends spans to a collector that may not be there. Says so in the log when that begins, then every
 * ten minutes. When the runtime ends, a collector that is silent is waited for two seconds, and no
 * longer. Thread-safe.
 */
final class CollectorExporter implements SpanExporter, SmartLifecycle {
  private static final Logger log = LoggerFactory.getLogger(CollectorExporter.class);
  private static final Duration SAY_AGAIN = Duration.ofMinutes(10);

  private final SpanExporter otlp;
  private final String endpoint;
  private final LongSupplier clock;
  private final Duration last;
  private volatile boolean running;

  // guarded by this
  private boolean failing;
  private long saidNanos;
  private long lost;
  private boolean over;
  private final Set<CompletableResultCode> underway = new HashSet<>();

  /**
   * @param otlp sends
   * @param endpoint where to, for the log
   * @param clock as {@link System#nanoTime}
   * @param last how long the collector is waited for when the runtime ends
   */
  CollectorExporter(SpanExporter otlp, String endpoint, LongSupplier clock, Duration last) {
    this.otlp = otlp;
    this.endpoint = endpoint;
    this.clock = clock;
    this.last = last;
  }

  @Override
  public CompletableResultCode export(Collection<SpanData> spans) {
    int count = spans.size();
    CompletableResultCode told = new CompletableResultCode();
    synchronized (this) {
      if (over) {
        return CompletableResultCode.ofFailure();
      }
      underway.add(told);
    }
    CompletableResultCode sent = otlp.export(spans);
    sent.whenComplete(
        () -> {
          if (sent.isSuccess()) {
            arrived();
            told.succeed();
          } else {
            failed(count, sent.getFailureThrowable());
            told.fail();
          }
          done(told);
        });
    return told;
  }

  private synchronized void done(CompletableResultCode told) {
    underway.remove(told);
  }

  @Override
  public void start() {
    running = true;
  }

  /** The runtime ends: whoever waits for the collector waits a while at most. */
  @Override
  public void stop() {
    running = false;
    Thread.ofVirtual()
        .name("traces-end")
        .start(
            () -> {
              try {
                Thread.sleep(last);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
              giveUp();
            });
  }

  private void giveUp() {
    List<CompletableResultCode> waitedFor;
    synchronized (this) {
      over = true;
      waitedFor = List.copyOf(underway);
      underway.clear();
    }
    waitedFor.forEach(CompletableResultCode::fail);
  }

  @Override
  public boolean isRunning() {
    return running;
  }

  /** Behind everything that makes spans, and before the beans are destroyed that send them. */
  @Override
  public int getPhase() {
    return Integer.MIN_VALUE;
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

package dev.kvdrive.server.http;

import java.util.ArrayDeque;
import java.util.Deque;
import org.springframework.web.server.ServerWebExchange;

/**
 * What one HTTP request holds (a place at the gate, its generations) and gives back when it is
 * over, however it ends: answered, failed, or dropped by the client. Thread-safe.
 */
final class RequestScope {
  private static final String ATTRIBUTE = RequestScope.class.getName();

  private final String id;
  private final long startNanos;
  private final Deque<Runnable> held = new ArrayDeque<>();
  private boolean closed;

  RequestScope(String id, long startNanos) {
    this.id = id;
    this.startNanos = startNanos;
  }

  /** The scope that {@link RequestScopeFilter} opened. */
  static RequestScope of(ServerWebExchange exchange) {
    RequestScope scope = exchange.getAttribute(ATTRIBUTE);
    if (scope == null) {
      throw new IllegalStateException("no request scope: the filter did not run");
    }
    return scope;
  }

  void attach(ServerWebExchange exchange) {
    exchange.getAttributes().put(ATTRIBUTE, this);
  }

  /** Of the request, for logs, metrics and the answer. */
  String id() {
    return id;
  }

  /** {@link System#nanoTime} when the request arrived. */
  long startNanos() {
    return startNanos;
  }

  /** Runs {@code release} when the request is over; at once if it is over already. */
  void hold(Runnable release) {
    synchronized (this) {
      if (!closed) {
        held.push(release);
        return;
      }
    }
    release.run();
  }

  /** Gives everything back, the last first. Idempotent. */
  void close() {
    Deque<Runnable> all;
    synchronized (this) {
      closed = true;
      all = new ArrayDeque<>(held);
      held.clear();
    }
    all.forEach(Runnable::run);
  }
}

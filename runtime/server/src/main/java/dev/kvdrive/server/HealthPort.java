package dev.kvdrive.server;

import dev.kvdrive.server.serving.StartFailure;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.web.server.context.WebServerApplicationContext;
import org.springframework.context.SmartLifecycle;
import org.springframework.http.server.reactive.HttpHandler;
import org.springframework.http.server.reactive.ReactorHttpHandlerAdapter;
import reactor.netty.ChannelBindException;
import reactor.netty.DisposableServer;
import reactor.netty.http.server.HttpServer;

/**
 * A second port without TLS, for those who have no certificate to show and cannot check one: the
 * kubelet's probes, and whoever scrapes pods by their addresses. What is answered there is the
 * filters' to say.
 */
final class HealthPort implements SmartLifecycle {
  private final HttpServer server;
  private volatile @Nullable DisposableServer bound;

  HealthPort(HttpServer server, HttpHandler handler) {
    this.server = server.handle(new ReactorHttpHandlerAdapter(handler));
  }

  @Override
  public void start() {
    try {
      bound = server.bindNow();
    } catch (ChannelBindException e) {
      throw new StartFailure(
          "port %d is in use by another program; choose one with kvdrive.tls.health-port"
              .formatted(e.localPort()),
          e);
    }
  }

  @Override
  public void stop() {
    DisposableServer was = bound;
    if (was != null) {
      was.disposeNow();
      bound = null;
    }
  }

  @Override
  public boolean isRunning() {
    return bound != null;
  }

  /** The port; 0 while there is none. */
  int port() {
    DisposableServer now = bound;
    return now == null ? 0 : now.port();
  }

  /** Ends after the requests have: whoever watches a pod that drains is still answered. */
  @Override
  public int getPhase() {
    return WebServerApplicationContext.START_STOP_LIFECYCLE_PHASE - 1;
  }
}

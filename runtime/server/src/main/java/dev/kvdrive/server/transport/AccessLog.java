package dev.kvdrive.server.transport;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One line for each request, under the logger {@code dev.kvdrive.access}. Nothing of a body, of a
 * query or of a header but the request's id is in it.
 */
public final class AccessLog implements Exchange.Listener {
  private static final Logger log = LoggerFactory.getLogger("dev.kvdrive.access");
  private static final int MAX_PATH_CHARS = 200;

  private final Exchange.Listener other;

  private AccessLog(Exchange.Listener other) {
    this.other = other;
  }

  /** The log, and another listener that is told everything too. */
  public static Exchange.Listener beside(Exchange.Listener other) {
    return new AccessLog(other);
  }

  @Override
  public void refused(int status, String reason) {
    other.refused(status, reason);
  }

  @Override
  public void ended(Exchange exchange) {
    other.ended(exchange);
    String path = exchange.path();
    String shown = path.length() <= MAX_PATH_CHARS ? path : path.substring(0, MAX_PATH_CHARS);
    long millis = exchange.duration().toMillis();
    log.atInfo()
        .addKeyValue("http.request.id", exchange.requestId())
        .addKeyValue("http.request.method", exchange.method())
        .addKeyValue("url.path", shown)
        .addKeyValue("http.response.status_code", exchange.status())
        .addKeyValue("http.response.body.bytes", exchange.bytes())
        .addKeyValue("event.duration", exchange.duration().toNanos())
        .addKeyValue("event.outcome", exchange.complete() ? "complete" : "aborted")
        .log(
            "{} {} {} {} B {} ms {}{}",
            exchange.method().isEmpty() ? "-" : exchange.method(),
            shown.isEmpty() ? "-" : shown,
            exchange.status(),
            exchange.bytes(),
            millis,
            exchange.requestId().isEmpty() ? "-" : exchange.requestId(),
            exchange.complete() ? "" : " aborted");
  }
}

package dev.kvdrive.server.access;

import dev.kvdrive.server.openai.ApiException;
import org.springframework.core.Ordered;
import org.springframework.web.server.ServerWebExchange;
import org.springframework.web.server.WebFilter;
import org.springframework.web.server.WebFilterChain;
import reactor.core.publisher.Mono;

/**
 * On a server with TLS, answers nothing but {@code /health/*} and {@code /metrics} over connections
 * without it: neither a key nor a prompt shall go in plain because somebody took the wrong port.
 */
public final class PlainFilter implements WebFilter, Ordered {
  private final boolean tls;

  /**
   * @param tls whether the server has TLS
   */
  public PlainFilter(boolean tls) {
    this.tls = tls;
  }

  @Override
  public Mono<Void> filter(ServerWebExchange exchange, WebFilterChain chain) {
    if (tls
        && exchange.getRequest().getSslInfo() == null
        && !ApiKeyFilter.isOfOperation(exchange)) {
      throw ApiException.tlsRequired();
    }
    return chain.filter(exchange);
  }

  /** Before everything that looks at the request. */
  @Override
  public int getOrder() {
    return ApiKeyFilter.ORDER - 8;
  }
}

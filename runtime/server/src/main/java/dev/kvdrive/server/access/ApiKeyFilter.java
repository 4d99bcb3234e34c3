package dev.kvdrive.server.access;

import dev.kvdrive.server.openai.ApiException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.springframework.core.Ordered;
import org.springframework.http.HttpHeaders;
import org.springframework.web.server.ServerWebExchange;
import org.springframework.web.server.WebFilter;
import org.springframework.web.server.WebFilterChain;
import reactor.core.publisher.Mono;

/**
 * Asks for a key on everything but {@code /health/*} and {@code /metrics}, before any byte of a
 * body is read.
 */
public final class ApiKeyFilter implements WebFilter, Ordered {
  /** After the request's scope, before everything else. */
  public static final int ORDER = -90;

  private static final String SCHEME = "Bearer ";

  private final Optional<ApiKeys> keys;

  /**
   * @param keys empty for an open server
   */
  public ApiKeyFilter(Optional<ApiKeys> keys) {
    this.keys = keys;
  }

  @Override
  public Mono<Void> filter(ServerWebExchange exchange, WebFilterChain chain) {
    if (keys.isPresent() && !isOpen(exchange)) {
      check(keys.get(), exchange.getRequest().getHeaders().getFirst(HttpHeaders.AUTHORIZATION));
    }
    return chain.filter(exchange);
  }

  @Override
  public int getOrder() {
    return ORDER;
  }

  static boolean isOpen(ServerWebExchange exchange) {
    String path = exchange.getRequest().getPath().value();
    return path.equals("/health") || path.startsWith("/health/") || path.equals("/metrics");
  }

  private static void check(ApiKeys keys, @Nullable String header) {
    if (header == null || !header.regionMatches(true, 0, SCHEME, 0, SCHEME.length())) {
      throw ApiException.unauthorized(
          "You didn't provide an API key. Send it in the header 'Authorization: Bearer KEY'.");
    }
    if (!keys.admits(header.substring(SCHEME.length()).strip())) {
      throw ApiException.unauthorized(
          "Incorrect API key provided. Ask the operator of this server for a valid one.");
    }
  }
}

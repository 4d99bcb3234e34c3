package dev.kvdrive.server.access;

import dev.kvdrive.server.openai.ApiException;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.springframework.core.Ordered;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.server.reactive.ServerHttpResponse;
import org.springframework.web.server.ServerWebExchange;
import org.springframework.web.server.WebFilter;
import org.springframework.web.server.WebFilterChain;
import reactor.core.publisher.Mono;

/**
 * Asks for a key on everything but {@code /health/*}, {@code /metrics} and the files of the page,
 * and holds what is posted to the limits of the key, before any byte of a body is read.
 */
public final class ApiKeyFilter implements WebFilter, Ordered {
  /** After the request's scope, before everything else. */
  public static final int ORDER = -90;

  /**
   * The files of the page, which everybody has; what they show needs a key. As they are written.
   */
  private static final Set<String> PAGE =
      Set.of("/ui", "/ui/", "/ui/page.css", "/ui/page.js", "/ui/icon.svg");

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
      Caller caller =
          caller(
              keys.get(), exchange.getRequest().getHeaders().getFirst(HttpHeaders.AUTHORIZATION));
      if (exchange.getRequest().getMethod().equals(HttpMethod.POST)) {
        admit(caller, exchange);
      }
    }
    return chain.filter(exchange);
  }

  @Override
  public int getOrder() {
    return ORDER;
  }

  static boolean isOpen(ServerWebExchange exchange) {
    return isOfOperation(exchange) || PAGE.contains(exchange.getRequest().getPath().value());
  }

  /** Whether it is for health or metrics. */
  static boolean isOfOperation(ServerWebExchange exchange) {
    String path = exchange.getRequest().getPath().value();
    return path.equals("/health") || path.startsWith("/health/") || path.equals("/metrics");
  }

  private static Caller caller(ApiKeys keys, @Nullable String header) {
    if (header == null || !header.regionMatches(true, 0, SCHEME, 0, SCHEME.length())) {
      throw ApiException.unauthorized(
          "You didn't provide an API key. Send it in the header 'Authorization: Bearer KEY'.");
    }
    return keys.caller(header.substring(SCHEME.length()).strip())
        .orElseThrow(
            () ->
                ApiException.unauthorized(
                    "Incorrect API key provided. Ask the operator of this server for a valid one."));
  }

  private static void admit(Caller caller, ServerWebExchange exchange) {
    ServerHttpResponse response = exchange.getResponse();
    // As late as can be: the prompt is charged by then.
    response.beforeCommit(() -> Mono.fromRunnable(() -> caller.tell(response.getHeaders())));
    Admission admission = caller.admit();
    admission.attach(exchange);
    response.beforeCommit(() -> Mono.fromRunnable(admission::answered));
  }
}

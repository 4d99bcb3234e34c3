package dev.kvdrive.server.access;

import dev.kvdrive.server.openai.ApiException;
import java.time.Duration;
import java.util.List;
import org.springframework.core.Ordered;
import org.springframework.http.HttpHeaders;
import org.springframework.web.cors.CorsConfiguration;
import org.springframework.web.cors.reactive.CorsProcessor;
import org.springframework.web.cors.reactive.CorsUtils;
import org.springframework.web.cors.reactive.DefaultCorsProcessor;
import org.springframework.web.server.ServerWebExchange;
import org.springframework.web.server.WebFilter;
import org.springframework.web.server.WebFilterChain;
import reactor.core.publisher.Mono;

/**
 * Lets pages of the configured origins call the API from a browser, and those of others not.
 * Without any origin no answer tells a browser that it may be read.
 */
public final class CorsFilter implements WebFilter, Ordered {
  private static final Duration PREFLIGHT_KEPT = Duration.ofHours(1);

  private static final List<String> EXPOSED =
      List.of(
          "x-request-id",
          HttpHeaders.RETRY_AFTER,
          "x-ratelimit-limit-requests",
          "x-ratelimit-remaining-requests",
          "x-ratelimit-reset-requests",
          "x-ratelimit-limit-tokens",
          "x-ratelimit-remaining-tokens",
          "x-ratelimit-reset-tokens");

  private final CorsProcessor processor = new DefaultCorsProcessor();
  private final CorsConfiguration allowed = new CorsConfiguration();
  private final boolean active;

  /**
   * @param origins such as {@code https://app.example.com}; {@code *} for all; empty for none
   */
  public CorsFilter(List<String> origins) {
    active = !origins.isEmpty();
    allowed.setAllowedOrigins(origins);
    allowed.setAllowedMethods(List.of("GET", "HEAD", "POST"));
    allowed.setAllowedHeaders(List.of(CorsConfiguration.ALL));
    allowed.setExposedHeaders(EXPOSED);
    allowed.setMaxAge(PREFLIGHT_KEPT);
  }

  @Override
  public Mono<Void> filter(ServerWebExchange exchange, WebFilterChain chain) {
    String origin = exchange.getRequest().getHeaders().getOrigin();
    if (!active || origin == null || ApiKeyFilter.isOpen(exchange)) {
      return chain.filter(exchange);
    }
    if (allowed.checkOrigin(origin) == null && CorsUtils.isCorsRequest(exchange.getRequest())) {
      throw ApiException.origin(origin);
    }
    boolean preflight = CorsUtils.isPreFlightRequest(exchange.getRequest());
    if (!processor.process(allowed, exchange) || preflight) {
      return exchange.getResponse().setComplete();
    }
    return chain.filter(exchange);
  }

  /** Before the keys: a browser asks for permission without any. */
  @Override
  public int getOrder() {
    return ApiKeyFilter.ORDER - 5;
  }
}

package dev.kvdrive.server.http;

import dev.kvdrive.schedule.EngineBusyException;
import dev.kvdrive.schedule.EngineDrainingException;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.StorageException;
import dev.kvdrive.server.generation.SlowReaderException;
import dev.kvdrive.server.metrics.ServingMetrics;
import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.Json;
import java.time.Duration;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.core.annotation.Order;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.MediaType;
import org.springframework.http.server.reactive.ServerHttpResponse;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.server.ServerWebExchange;
import org.springframework.web.server.WebExceptionHandler;
import reactor.core.publisher.Mono;

/** Makes every failure an answer in OpenAI's shape. */
@Order(-2)
final class ErrorAnswers implements WebExceptionHandler {
  private static final Logger log = LoggerFactory.getLogger(ErrorAnswers.class);
  private static final Duration RETRY_AFTER = Duration.ofSeconds(1);

  /** A drive that fails is tried again after one second, then two, four, eight. */
  private static final Duration STORAGE_RETRY_AFTER = Duration.ofSeconds(4);

  private final Json json = new Json(1 << 20);
  private final ServingMetrics metrics;
  private final ClientText clientText;

  ErrorAnswers(ServingMetrics metrics, ClientText clientText) {
    this.metrics = metrics;
    this.clientText = clientText;
  }

  @Override
  public Mono<Void> handle(ServerWebExchange exchange, Throwable failure) {
    ServerHttpResponse response = exchange.getResponse();
    if (response.isCommitted()) {
      return Mono.error(failure);
    }
    String id = response.getHeaders().getFirst("x-request-id");
    ApiException error = of(failure, exchange, id);
    if (!error.isClientLeft()) {
      metrics.refused(error.status(), error.reason());
    }
    response.setStatusCode(HttpStatusCode.valueOf(error.status()));
    HttpHeaders headers = response.getHeaders();
    headers.setContentType(MediaType.APPLICATION_JSON);
    Duration retryAfter = error.retryAfter();
    if (retryAfter != null) {
      long seconds = Math.max(1, retryAfter.plusMillis(999).toSeconds());
      headers.set(HttpHeaders.RETRY_AFTER, Long.toString(seconds));
    }
    if (error.status() == 401) {
      headers.set(HttpHeaders.WWW_AUTHENTICATE, "Bearer");
    }
    if (error.leavesBody()) {
      // What is left of the body is dropped.
      headers.set(HttpHeaders.CONNECTION, "close");
    }
    return response.writeWith(
        Mono.fromSupplier(() -> response.bufferFactory().wrap(json.write(error.body()))));
  }

  private ApiException of(Throwable failure, ServerWebExchange exchange, @Nullable String id) {
    if (failure instanceof ResponseStatusException status
        && status.getStatusCode().value() == 404) {
      return ApiException.unknownUrl(
          exchange.getRequest().getMethod().name(), exchange.getRequest().getPath().value());
    }
    return of(failure, id);
  }

  /**
   * The failure as an answer, with nothing in it that is the server's own; what nobody expects is
   * logged, and hidden from the caller.
   */
  ApiException of(Throwable failure, @Nullable String id) {
    return switch (failure) {
      case ApiException error -> error.status() < 500 ? error : error.saying(clientText::of);
      case EngineBusyException busy ->
          ApiException.busy(clientText.of(message(busy)), busy.retryAfter());
      case EngineDrainingException draining ->
          ApiException.unavailable("shutting_down", clientText.of(message(draining)), RETRY_AFTER);
      case SlowReaderException slow -> ApiException.slowReader(message(slow));
      case StorageException error -> {
        log.warn("Request {} failed: {}", id, error.getMessage());
        yield ApiException.unavailable(
            "storage_failed", clientText.of(message(error)), STORAGE_RETRY_AFTER);
      }
      case GenerationException error -> {
        log.warn("Request {} failed: {}", id, error.getMessage());
        yield ApiException.internal(clientText.of(message(error)));
      }
      case RejectedExecutionException full ->
          ApiException.busy("Too many requests are being tokenised.", RETRY_AFTER);
      default -> {
        log.error("Request {} failed unexpectedly", id, failure);
        yield ApiException.internal(
            "The server had an unexpected error; its log has more under request " + id + ".");
      }
    };
  }

  private static String message(Throwable failure) {
    String message = failure.getMessage();
    return message == null ? failure.toString() : message;
  }
}

package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.RequestLimits;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import org.springframework.core.io.buffer.DataBuffer;
import org.springframework.core.io.buffer.DataBufferLimitException;
import org.springframework.core.io.buffer.DataBufferUtils;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.netty.channel.AbortedException;

/** Reads a body into memory, within bounds of size and time. */
final class RequestBody {
  /** How many times the limit of a body that is too large is read and dropped. */
  private static final long SKIPPED_LIMITS = 4;

  private RequestBody() {}

  /**
   * The body's bytes.
   *
   * @throws ApiException through the Mono: 408, 413 or 415
   */
  static Mono<byte[]> read(ServerRequest request, RequestLimits limits, Duration timeout) {
    int limitBytes = limits.bodyBytes();
    Optional<MediaType> type = request.headers().contentType();
    if (type.isPresent() && !isJson(type.get())) {
      return Mono.error(ApiException.mediaType(type.get().toString()));
    }
    long announced = request.headers().contentLength().orElse(0);
    if (announced > limitBytes) {
      return skip(request.exchange().getRequest().getBody(), announced, limits)
          .timeout(timeout)
          .onErrorMap(TimeoutException.class, e -> ApiException.bodyTimeout(timeout))
          .onErrorMap(IOException.class, e -> ApiException.clientLeft())
          .onErrorMap(AbortedException.class, e -> ApiException.clientLeft());
    }
    return DataBufferUtils.join(request.exchange().getRequest().getBody(), limitBytes)
        .map(RequestBody::bytes)
        .timeout(timeout)
        .defaultIfEmpty(new byte[0])
        .onErrorMap(
            DataBufferLimitException.class, e -> ApiException.bodyTooLarge(limitBytes + 1L, limits))
        .onErrorMap(TimeoutException.class, e -> ApiException.bodyTimeout(timeout))
        .onErrorMap(IOException.class, e -> ApiException.clientLeft())
        .onErrorMap(AbortedException.class, e -> ApiException.clientLeft());
  }

  /**
   * Reads on for a while before it refuses: a client that is cut off while it writes sees a broken
   * connection instead of the answer.
   */
  private static Mono<byte[]> skip(Flux<DataBuffer> body, long announced, RequestLimits limits) {
    return body.map(
            buffer -> {
              long bytes = buffer.readableByteCount();
              DataBufferUtils.release(buffer);
              return bytes;
            })
        .scan(0L, Long::sum)
        .takeUntil(skipped -> skipped > SKIPPED_LIMITS * limits.bodyBytes())
        .then(Mono.error(ApiException.bodyTooLarge(announced, limits)));
  }

  private static boolean isJson(MediaType type) {
    return type.getType().equals("application")
        && (type.getSubtype().equals("json") || type.getSubtype().endsWith("+json"));
  }

  private static byte[] bytes(DataBuffer buffer) {
    try {
      byte[] bytes = new byte[buffer.readableByteCount()];
      buffer.read(bytes);
      return bytes;
    } finally {
      DataBufferUtils.release(buffer);
    }
  }
}

package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.RequestLimits;
import dev.kvdrive.server.settings.RuntimeSettings;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.function.Function;
import org.springframework.core.io.buffer.DataBuffer;
import org.springframework.core.io.buffer.DataBufferUtils;
import org.springframework.http.HttpHeaders;
import org.springframework.http.InvalidMediaTypeException;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Scheduler;
import reactor.netty.channel.AbortedException;

/**
 * Reads bodies and works on them, within bounds of bytes, of time and of pace. What is refused is
 * refused before it is read.
 */
final class RequestBodies {
  /** How long a body may be slower than its least pace, and how long nothing of it may come. */
  private static final Duration GRACE = Duration.ofSeconds(5);

  private static final Duration CHECK = Duration.ofMillis(500);

  private final BodyBudget budget;
  private final Scheduler text;
  private final Duration timeout;
  private final long bytesPerSecond;

  /**
   * @param text where bodies are worked on
   */
  RequestBodies(BodyBudget budget, Scheduler text, RuntimeSettings settings) {
    this.budget = budget;
    this.text = text;
    this.timeout = settings.bodyTimeout();
    this.bytesPerSecond = settings.http().bodyRate().bytes();
  }

  /**
   * Reads the body and makes something of it on a thread for text. Its bytes are given back when
   * that is done, or when the request is over.
   *
   * @throws ApiException through the Mono: 408, 413, 415, 429, or that of {@code work}
   */
  <T> Mono<T> read(ServerRequest request, RequestLimits limits, Function<byte[], T> work) {
    HttpHeaders headers = request.exchange().getRequest().getHeaders();
    checkType(headers);
    checkCoding(headers);
    long announced = headers.getContentLength();
    if (announced > limits.bodyBytes()) {
      throw ApiException.bodyTooLarge(announced, limits);
    }
    BodyBudget.Share share = budget.take(announced);
    RequestScope scope = RequestScope.of(request.exchange());
    scope.hold(share::close);
    BodyBytes bytes = new BodyBytes(share, announced, limits.bodyBytes());
    return receive(request.exchange().getRequest().getBody(), bytes, limits)
        .publishOn(text)
        .map(whole -> budget.work(share, whole.size(), () -> work.apply(whole.join())));
  }

  /**
   * Counts the bytes of an answer like those of a body.
   *
   * @throws ApiException 429 if there is no room
   */
  BodyBudget.Share account(int bytes) {
    return budget.take(bytes);
  }

  private Mono<BodyBytes> receive(Flux<DataBuffer> body, BodyBytes bytes, RequestLimits limits) {
    Mono<BodyBytes> whole =
        body.doOnNext(
                buffer -> {
                  try {
                    if (!bytes.add(buffer)) {
                      throw ApiException.bodyTooLarge(bytes.size() + 1L, limits);
                    }
                  } finally {
                    DataBufferUtils.release(buffer);
                  }
                })
            .onErrorMap(IOException.class, e -> ApiException.clientLeft())
            .onErrorMap(AbortedException.class, e -> ApiException.clientLeft())
            .then(Mono.just(bytes));
    Pace pace = new Pace(System.nanoTime());
    Mono<BodyBytes> late =
        Flux.interval(CHECK)
            .onBackpressureDrop()
            .doOnNext(tick -> pace.check(bytes.size(), System.nanoTime()))
            .then(Mono.empty());
    return Mono.firstWithSignal(whole, late);
  }

  /** How one body comes along. */
  private final class Pace {
    private final long start;
    private int seen;
    private long seenAt;

    Pace(long start) {
      this.start = start;
      this.seenAt = start;
    }

    void check(int received, long now) {
      if (now - start >= timeout.toNanos()) {
        throw ApiException.bodyTimeout(timeout);
      }
      if (received > seen) {
        seen = received;
        seenAt = now;
      }
      double paced = (now - start - GRACE.toNanos()) / 1e9;
      if (now - seenAt > GRACE.toNanos() || received < paced * bytesPerSecond) {
        throw ApiException.bodyTooSlow(received, Duration.ofNanos(now - start), bytesPerSecond);
      }
    }
  }

  private static void checkType(HttpHeaders headers) {
    MediaType type;
    try {
      type = headers.getContentType();
    } catch (InvalidMediaTypeException e) {
      throw ApiException.mediaType(String.valueOf(headers.getFirst(HttpHeaders.CONTENT_TYPE)));
    }
    if (type == null && headers.getOrigin() != null) {
      // A page may send this anywhere without asking first.
      throw ApiException.mediaType("none, from a page of " + headers.getOrigin());
    }
    if (type == null) {
      return;
    }
    Charset charset = type.getCharset();
    boolean text =
        charset == null
            || charset.equals(StandardCharsets.UTF_8)
            || charset.equals(StandardCharsets.US_ASCII);
    if (!isJson(type) || !text) {
      throw ApiException.mediaType(type.toString());
    }
  }

  private static void checkCoding(HttpHeaders headers) {
    for (String line : headers.getOrEmpty(HttpHeaders.CONTENT_ENCODING)) {
      for (String coding : line.split(",", -1)) {
        if (!coding.isBlank() && !coding.strip().equalsIgnoreCase("identity")) {
          throw ApiException.contentCoding(coding.strip());
        }
      }
    }
  }

  private static boolean isJson(MediaType type) {
    return type.getType().equals("application")
        && (type.getSubtype().equals("json") || type.getSubtype().endsWith("+json"));
  }
}

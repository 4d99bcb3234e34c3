package dev.kvdrive.server.transport;

import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.Json;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import java.time.Duration;

/** Errors below the handlers, in the shape that all errors have. */
final class TransportError {
  private static final Json JSON = new Json(1 << 10);

  /** How the decoder says it, before the value. */
  private static final String NO_LENGTH = "Content-Length value is not a number: ";

  private TransportError() {}

  /** What a request that could not be decoded is answered with. */
  static ApiException undecodable(Throwable cause) {
    return switch (cause) {
      case TooLongHttpLineException line ->
          ApiException.transport(
              414, "uri_too_long", "The request line is too long; send data in the body.");
      case TooLongHttpHeaderException header ->
          ApiException.transport(
              431, "headers_too_large", "The request's headers are too large; send fewer.");
      case IllegalArgumentException length
          when String.valueOf(length.getMessage()).startsWith(NO_LENGTH) ->
          ApiException.transport(
              400,
              "bad_request",
              "The Content-Length '%s' is not a number of bytes from 0 to %d; send the length of the body."
                  .formatted(
                      shortened(String.valueOf(length.getMessage()).substring(NO_LENGTH.length())),
                      Long.MAX_VALUE));
      default ->
          ApiException.transport(
              400, "bad_request", "The request is not valid HTTP/1.1; check its head and framing.");
    };
  }

  /** A version of HTTP other than 1.x. */
  static ApiException version(String seen) {
    return ApiException.transport(
        505,
        "http_version_not_supported",
        "'%s' is not supported; use HTTP/1.1.".formatted(shortened(seen)));
  }

  /** Not one Host header but none, or several. */
  static ApiException hosts(int seen) {
    return ApiException.transport(
        400,
        "bad_request",
        "An HTTP/1.1 request has exactly one Host header, this one has %d.".formatted(seen));
  }

  /** A transfer coding other than chunks. */
  static ApiException coding(String seen) {
    return ApiException.transport(
        501,
        "transfer_encoding_not_supported",
        "Transfer-Encoding '%s' is not supported; send the body with a Content-Length or with 'chunked' alone."
            .formatted(shortened(seen)));
  }

  /** A head that does not say in one way where the body ends. */
  static ApiException framing(String why) {
    return ApiException.transport(
        400,
        "bad_request",
        "The length of the body is not clear: %s; send one Content-Length or one 'Transfer-Encoding: chunked'."
            .formatted(why));
  }

  private static String shortened(String text) {
    return text.length() <= 40 ? text : text.substring(0, 40) + "...";
  }

  /** The head of a request did not arrive. */
  static ApiException headTimeout(Duration limit) {
    return ApiException.transport(
        408,
        "request_timeout",
        "The head of the request did not arrive within %d s.".formatted(limit.toSeconds()));
  }

  /** Every connection is busy. */
  static ApiException full(int connections) {
    return ApiException.unavailable(
        "too_many_connections",
        "All %d connections are in use. Try again later.".formatted(connections),
        Duration.ofSeconds(1));
  }

  /** An answer of the framework's own that says nothing but a status. */
  static ApiException bare(HttpResponseStatus status) {
    return ApiException.transport(
        status.code(),
        status.code() == 400 ? "bad_request" : "http_" + status.code(),
        "The request cannot be answered: %s.".formatted(status.reasonPhrase()));
  }

  /** The whole answer, after which the connection closes. */
  static FullHttpResponse answer(ApiException error) {
    byte[] body = JSON.write(error.body());
    DefaultFullHttpResponse response =
        new DefaultFullHttpResponse(
            HttpVersion.HTTP_1_1,
            HttpResponseStatus.valueOf(error.status()),
            Unpooled.wrappedBuffer(body));
    response
        .headers()
        .set(HttpHeaderNames.CONTENT_TYPE, HttpHeaderValues.APPLICATION_JSON)
        .set(HttpHeaderNames.CONTENT_LENGTH, body.length)
        .set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
    Duration retryAfter = error.retryAfter();
    if (retryAfter != null) {
      response.headers().set(HttpHeaderNames.RETRY_AFTER, retryAfter.toSeconds());
    }
    return response;
  }
}

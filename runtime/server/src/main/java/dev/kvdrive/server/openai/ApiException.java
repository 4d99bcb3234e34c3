package dev.kvdrive.server.openai;

import java.time.Duration;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * An answer other than 200, in the shape that OpenAI's clients understand. The message is written
 * for the caller: cause, value seen, way out.
 */
public final class ApiException extends RuntimeException {
  private static final String CLIENT_LEFT = "client_left";
  private static final String BODIES_FULL = "bodies_full";
  private static final String RATE_LIMIT = "rate_limit_exceeded";

  private final int status;
  private final String type;
  private final @Nullable String param;
  private final String code;
  private final @Nullable Duration retryAfter;

  private ApiException(
      int status,
      String type,
      @Nullable String param,
      String code,
      @Nullable Duration retryAfter,
      String message) {
    // An answer to the caller, not a fault of ours: nobody reads its stack.
    super(message, null, false, false);
    this.status = status;
    this.type = type;
    this.param = param;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** 400 that names the field. */
  public static ApiException invalid(@Nullable String param, String code, String message) {
    return new ApiException(400, "invalid_request_error", param, code, null, message);
  }

  /** 400 for a field that nobody knows. */
  public static ApiException unknownField(String path) {
    String shown = path.length() <= 200 ? path : path.substring(0, 200) + "...";
    return invalid(shown, "unknown_parameter", "Unknown parameter: '%s'.".formatted(shown));
  }

  /** 400: the prompt, or the prompt and the answer asked for, exceed the context. */
  public static ApiException contextLength(String param, String message) {
    return invalid(param, "context_length_exceeded", message);
  }

  /** 401. */
  public static ApiException unauthorized(String message) {
    return new ApiException(401, "invalid_request_error", null, "invalid_api_key", null, message);
  }

  /** 404 for a model that is not served here. */
  public static ApiException unknownModel(String asked, String served) {
    return new ApiException(
        404,
        "invalid_request_error",
        "model",
        "model_not_found",
        null,
        "The model '%s' does not exist here; this server serves '%s'."
            .formatted(shortened(asked), served));
  }

  /** 404 for a path. */
  public static ApiException unknownUrl(String method, String path) {
    return new ApiException(
        404,
        "invalid_request_error",
        null,
        "unknown_url",
        null,
        "Unknown request URL: %s %s".formatted(method, path));
  }

  /** 405. */
  public static ApiException method(String method, String path, String allowed) {
    return new ApiException(
        405,
        "invalid_request_error",
        null,
        "method_not_supported",
        null,
        "%s is not allowed for %s; use %s.".formatted(method, path, allowed));
  }

  /** 408: the body did not arrive in time. */
  public static ApiException bodyTimeout(Duration limit) {
    return new ApiException(
        408,
        "invalid_request_error",
        null,
        "request_timeout",
        null,
        "The request body did not arrive within %d s.".formatted(limit.toSeconds()));
  }

  /** 408: the body arrives too slowly. */
  public static ApiException bodyTooSlow(int bytes, Duration after, long bytesPerSecond) {
    return new ApiException(
        408,
        "invalid_request_error",
        null,
        "request_too_slow",
        null,
        "The request body is too slow: %d bytes in %d s; at least %d bytes a second are expected."
            .formatted(bytes, after.toSeconds(), bytesPerSecond));
  }

  /** 400 that nobody reads: the client left while it sent its request. */
  public static ApiException clientLeft() {
    return invalid(null, CLIENT_LEFT, "The connection closed before the request was complete.");
  }

  /**
   * 413.
   *
   * @param bytes of the body if it says so itself, else what was read of it at least
   */
  public static ApiException bodyTooLarge(long bytes, RequestLimits limits) {
    return new ApiException(
        413,
        "invalid_request_error",
        null,
        "request_too_large",
        null,
        "The request body has at least %d bytes. This model's maximum context length is %d tokens, so a body may have %d bytes; shorten the prompt."
            .formatted(bytes, limits.contextLength(), limits.bodyBytes()));
  }

  /** 415. */
  public static ApiException mediaType(String seen) {
    return new ApiException(
        415,
        "invalid_request_error",
        null,
        "unsupported_media_type",
        null,
        "Content-Type must be application/json, in UTF-8, got '%s'.".formatted(shortened(seen)));
  }

  /** 415: a body that is compressed. */
  public static ApiException contentCoding(String seen) {
    return new ApiException(
        415,
        "invalid_request_error",
        null,
        "unsupported_content_encoding",
        null,
        "Content-Encoding '%s' is not supported; send the body as it is, without the header or with 'identity'."
            .formatted(shortened(seen)));
  }

  /** An error of HTTP itself. */
  public static ApiException transport(int status, String code, String message) {
    return new ApiException(status, "invalid_request_error", null, code, null, message);
  }

  /** 403: a page of another origin. */
  public static ApiException origin(String origin) {
    return new ApiException(
        403,
        "invalid_request_error",
        null,
        "origin_not_allowed",
        null,
        "Pages of the origin '%s' may not call this server.".formatted(shortened(origin)));
  }

  /** 403: a connection without TLS. */
  public static ApiException tlsRequired() {
    return new ApiException(
        403,
        "invalid_request_error",
        null,
        "tls_required",
        null,
        "This port answers health and metrics only. The API is on the port with TLS; call it with https.");
  }

  /** 429: no room for the body. */
  public static ApiException bodies(String message, Duration retryAfter) {
    return new ApiException(429, "rate_limit_error", null, BODIES_FULL, retryAfter, message);
  }

  /** 429. */
  public static ApiException busy(String message, Duration retryAfter) {
    return new ApiException(
        429, "rate_limit_error", null, "engine_overloaded", retryAfter, message);
  }

  /**
   * 429: a limit of the caller's key.
   *
   * @param limit which, in one word; OpenAI has it as the type of the error
   */
  public static ApiException rateLimit(String limit, String message, Duration retryAfter) {
    return new ApiException(429, limit, null, RATE_LIMIT, retryAfter, message);
  }

  /** 429: too many watch. */
  public static ApiException watchers(String message, Duration retryAfter) {
    return new ApiException(429, "rate_limit_error", null, "watchers_full", retryAfter, message);
  }

  /** The end of a stream whose client did not read it. */
  public static ApiException slowReader(String message) {
    return new ApiException(408, "invalid_request_error", null, "slow_client", null, message);
  }

  /** 500. */
  public static ApiException internal(String message) {
    return new ApiException(500, "server_error", null, "internal_error", null, message);
  }

  /** 503: not ready yet, or shutting down. */
  public static ApiException unavailable(String code, String message, Duration retryAfter) {
    return new ApiException(503, "server_error", null, code, retryAfter, message);
  }

  /** 503: shutting down. */
  public static ApiException shuttingDown() {
    return unavailable(
        "shutting_down",
        "This server is shutting down; another replica or a retry will answer.",
        Duration.ofSeconds(1));
  }

  private static String shortened(String text) {
    return text.length() <= 200 ? text : text.substring(0, 200) + "...";
  }

  /** The same error with its message put in other words. */
  public ApiException saying(UnaryOperator<String> words) {
    return new ApiException(status, type, param, code, retryAfter, words.apply(message()));
  }

  /** One word for metrics: the code. */
  public String reason() {
    return code;
  }

  /** Whether nobody is there to read it. */
  public boolean isClientLeft() {
    return CLIENT_LEFT.equals(code);
  }

  /** Whether a body may be on its way that nobody reads. */
  public boolean leavesBody() {
    return status == 408 || status == 413 || BODIES_FULL.equals(code);
  }

  public int status() {
    return status;
  }

  /** When to try again; for 429 and 503. */
  public @Nullable Duration retryAfter() {
    return retryAfter;
  }

  /** The body of the answer. */
  public ErrorBody body() {
    return new ErrorBody(new ErrorBody.Detail(message(), type, param, code));
  }

  private String message() {
    String message = getMessage();
    return message == null ? "" : message;
  }
}

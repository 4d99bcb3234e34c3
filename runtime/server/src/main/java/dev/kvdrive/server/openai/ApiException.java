package dev.kvdrive.server.openai;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * An answer other than 200, in the shape that OpenAI's clients understand. The message is written
 * for the caller: cause, value seen, way out.
 */
public final class ApiException extends RuntimeException {
  private final int status;
  private final String type;
  private final @Nullable String param;
  private final @Nullable String code;
  private final @Nullable Duration retryAfter;

  private ApiException(
      int status,
      String type,
      @Nullable String param,
      @Nullable String code,
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
  public static ApiException invalid(String param, String message) {
    return invalid(param, null, message);
  }

  /** 400 that names the field, with a code. */
  public static ApiException invalid(
      @Nullable String param, @Nullable String code, String message) {
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
    String shown = asked.length() <= 200 ? asked : asked.substring(0, 200) + "...";
    return new ApiException(
        404,
        "invalid_request_error",
        "model",
        "model_not_found",
        null,
        "The model '%s' does not exist here; this server serves '%s'.".formatted(shown, served));
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

  /** 400 that nobody reads: the client left while it sent its request. */
  public static ApiException clientLeft() {
    return invalid(null, "client_left", "The connection closed before the request was complete.");
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
        "Content-Type must be application/json, got '%s'.".formatted(seen));
  }

  /** 429. */
  public static ApiException busy(String message, Duration retryAfter) {
    return new ApiException(
        429, "rate_limit_error", null, "engine_overloaded", retryAfter, message);
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

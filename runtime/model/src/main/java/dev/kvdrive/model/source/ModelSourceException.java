package dev.kvdrive.model.source;

import org.jspecify.annotations.Nullable;

/**
 * A model cannot be obtained: its address is wrong, the hub refuses or cannot be reached, the disk
 * is full. The message names the address, the cause and the way out; it never holds a token.
 */
public final class ModelSourceException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String uri;
  private final String what;
  private final String wayOut;
  private final boolean retryable;

  ModelSourceException(String uri, String what, String wayOut) {
    this(uri, what, wayOut, false, null);
  }

  ModelSourceException(
      String uri, String what, String wayOut, boolean retryable, @Nullable Throwable cause) {
    super("%s: %s; %s".formatted(uri, what, wayOut), cause);
    this.uri = uri;
    this.what = what;
    this.wayOut = wayOut;
    this.retryable = retryable;
  }

  /** The address asked for. */
  public String uri() {
    return uri;
  }

  /** What went wrong. */
  public String what() {
    return what;
  }

  /** What to do about it. */
  public String wayOut() {
    return wayOut;
  }

  /** True if the same call may succeed later: the hub was unreachable or overloaded. */
  public boolean retryable() {
    return retryable;
  }
}

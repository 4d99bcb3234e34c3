package dev.kvdrive.text;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A chat template that cannot be compiled, or that refuses or fails on the messages given. */
public class ChatTemplateException extends RuntimeException {

  /** Whose fault it is, so that a server can tell the client. */
  public enum Cause {
    /** The template called {@code raise_exception}: the messages do not suit the model. */
    REFUSED,
    /** The template cannot be parsed, or reached a filter, test, function or tag there is not. */
    UNUSABLE,
    /** The template fails on these messages, or goes beyond its limits for them. */
    FAILED
  }

  private final Cause reason;

  public ChatTemplateException(Cause reason, String message) {
    this(reason, message, null);
  }

  /**
   * @param cause what the template's failure came from, where that is more than its own words
   */
  public ChatTemplateException(Cause reason, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What went wrong, in words. */
  @Override
  public String getMessage() {
    return Objects.toString(super.getMessage(), "");
  }

  public Cause reason() {
    return reason;
  }
}

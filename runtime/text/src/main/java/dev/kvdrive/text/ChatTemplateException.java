package dev.kvdrive.text;

import java.util.Objects;

/** A chat template that cannot be compiled, or that refuses or fails on the messages given. */
public class ChatTemplateException extends RuntimeException {

  /** Whose fault it is, so that a server can choose between the client and the operator. */
  public enum Cause {
    /** The template called {@code raise_exception}: the messages do not suit the model. */
    REFUSED,
    /** The template is broken, unsupported, or beyond its limits for these messages. */
    TEMPLATE
  }

  private final Cause reason;

  public ChatTemplateException(Cause reason, String message) {
    super(message);
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

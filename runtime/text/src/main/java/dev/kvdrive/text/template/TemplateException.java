package dev.kvdrive.text.template;

import java.util.Objects;

/** A template that cannot be parsed, fails on its data or exceeds its limits. */
public class TemplateException extends RuntimeException {

  private final boolean raised;

  TemplateException(String message) {
    this(message, false);
  }

  TemplateException(String message, boolean raised) {
    super(message);
    this.raised = raised;
  }

  /** What went wrong, in words for the operator or, when raised, of the template's author. */
  @Override
  public String getMessage() {
    return Objects.toString(super.getMessage(), "");
  }

  /** Whether the template itself refused its data, by {@code raise_exception}. */
  public boolean isRaised() {
    return raised;
  }
}

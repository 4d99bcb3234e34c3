package dev.kvdrive.text.template;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A template that cannot be parsed, fails on its data or exceeds its limits. */
public class TemplateException extends RuntimeException {

  /** Whose fault it is. */
  public enum Kind {
    /** The template refused its data, by {@code raise_exception}. */
    RAISED,
    /** The source: it is no template, or names what there is not. No data changes that. */
    SOURCE,
    /** What the template does with this data. */
    DATA
  }

  private final Kind kind;

  TemplateException(String message) {
    this(message, Kind.DATA, null);
  }

  TemplateException(String message, Kind kind) {
    this(message, kind, null);
  }

  TemplateException(String message, Kind kind, @Nullable Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  /** Of a filter, test, function or tag that there is not. */
  static TemplateException unknown(String what, String name) {
    return new TemplateException(unknownWords(what, name), Kind.SOURCE);
  }

  /** What {@link #unknown} says. */
  static String unknownWords(String what, String name) {
    return "unknown " + what + " '" + name + "'";
  }

  /** Of a failure that none of the engine's own checks foresaw, so that it never ends a caller. */
  static TemplateException unforeseen(RuntimeException e, Kind kind) {
    return e instanceof TemplateException foreseen
        ? foreseen
        : new TemplateException(
            "what it does is not supported: " + e.getClass().getSimpleName(), kind, e);
  }

  /** The same exception, which says where in the template it happened. */
  TemplateException at(int line) {
    return new TemplateException(located(getMessage(), line), kind, getCause());
  }

  /** A message with its place in the template. */
  static String located(String message, int line) {
    return message + " (line " + line + ")";
  }

  /** What went wrong, in words for the operator or, when raised, of the template's author. */
  @Override
  public String getMessage() {
    return Objects.toString(super.getMessage(), "");
  }

  /** Whose fault it is. */
  public Kind kind() {
    return kind;
  }

  /** Whether the template itself refused its data, by {@code raise_exception}. */
  public boolean isRaised() {
    return kind == Kind.RAISED;
  }
}

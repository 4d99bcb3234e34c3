package dev.kvdrive.model.file;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A model file cannot be used: it is damaged, of another format, or asks for something that is not
 * supported. The one error of every reader of model files; the message names the file, what is
 * wrong, the value found and the way out.
 */
public final class ModelFormatException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final int SHOWN_WHAT_CHARS = 500;
  private static final int SHOWN_VALUE_CHARS = 200;

  private final String file;
  private final String what;
  private final String value;
  private final String wayOut;

  /**
   * @param file the file (or folder) at fault
   * @param what what is wrong with it
   * @param value the value found, shortened if long
   * @param wayOut what to do about it
   */
  public ModelFormatException(Path file, String what, Object value, String wayOut) {
    this(file, what, value, wayOut, null);
  }

  /** As above, with the exception that led here. */
  public ModelFormatException(
      Path file, String what, Object value, String wayOut, @Nullable Throwable cause) {
    this(
        file.toString(),
        printable(what, SHOWN_WHAT_CHARS),
        printable(String.valueOf(value), SHOWN_VALUE_CHARS),
        wayOut,
        cause);
  }

  private ModelFormatException(
      String file, String what, String value, String wayOut, @Nullable Throwable cause) {
    super("%s: %s (found: %s); %s".formatted(file, what, value, wayOut), cause);
    this.file = file;
    this.what = what;
    this.value = value;
    this.wayOut = wayOut;
  }

  /** The file or folder at fault. */
  public String file() {
    return file;
  }

  /** What is wrong. */
  public String what() {
    return what;
  }

  /** The value found. */
  public String value() {
    return value;
  }

  /** What to do about it. */
  public String wayOut() {
    return wayOut;
  }

  /** The same fault with another way out. */
  public ModelFormatException withWayOut(String other) {
    return new ModelFormatException(file, what, value, other, getCause());
  }

  /** Names and values come from the file: shortened, on one line, and without what controls it. */
  private static String printable(String value, int maxChars) {
    String cut =
        value.length() <= maxChars
            ? value
            : value.substring(0, maxChars) + "... (" + value.length() + " characters)";
    return Printable.of(cut.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t"));
  }
}

package dev.kvdrive.server.openai;

/**
 * A number as its sender wrote it. Immutable.
 *
 * @param text in JSON's syntax, of bounded length
 */
public record RealNumber(String text) {
  /** The nearest double; infinite beyond them. */
  double value() {
    return Double.parseDouble(text);
  }
}

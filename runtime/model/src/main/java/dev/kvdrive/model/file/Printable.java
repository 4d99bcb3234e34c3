package dev.kvdrive.model.file;

/**
 * Text of a file in a message: a terminal and a log show all of it, and obey nothing of it. Line
 * breaks and tabs stay, since messages have their own.
 */
public final class Printable {
  private Printable() {}

  /** The text with characters that control a terminal, or turn a line around, as their code. */
  public static String of(String text) {
    if (text.codePoints().noneMatch(Printable::controls)) {
      return text;
    }
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .forEach(
            c -> {
              if (controls(c)) {
                out.append("\\u%04x".formatted(c));
              } else {
                out.appendCodePoint(c);
              }
            });
    return out.toString();
  }

  private static boolean controls(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL -> c != '\n' && c != '\t' && c != '\r';
      // Of the formats, those that join or part letters change nothing but their letters.
      case Character.FORMAT -> c != 0x200c && c != 0x200d;
      case Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR, Character.SURROGATE -> true;
      default -> false;
    };
  }
}

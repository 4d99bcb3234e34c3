package dev.kvdrive.text;

import java.nio.charset.StandardCharsets;

/** UTF-8 of text that may hold half surrogate pairs: each becomes U+FFFD. */
final class Utf8 {

  private static final int REPLACEMENT = 0xFFFD;

  private Utf8() {}

  /** The code point at an index, U+FFFD for half a pair; it has the same number of chars. */
  static int codePoint(String text, int at, int end) {
    char c = text.charAt(at);
    if (!Character.isSurrogate(c)) {
      return c;
    }
    if (Character.isHighSurrogate(c)
        && at + 1 < end
        && Character.isLowSurrogate(text.charAt(at + 1))) {
      return Character.toCodePoint(c, text.charAt(at + 1));
    }
    return REPLACEMENT;
  }

  static byte[] of(int codePoint) {
    return Character.toString(codePoint).getBytes(StandardCharsets.UTF_8);
  }

  static byte[] of(String text, int from, int to) {
    String part = text.substring(from, to);
    for (int i = from; i < to; i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        StringBuilder whole = new StringBuilder(to - from);
        for (int at = from; at < to; ) {
          int codePoint = codePoint(text, at, to);
          whole.appendCodePoint(codePoint);
          at += Character.charCount(codePoint);
        }
        part = whole.toString();
        break;
      }
    }
    return part.getBytes(StandardCharsets.UTF_8);
  }
}

package dev.kvdrive.server.openai;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;

/**
 * The bytes of a JSON body as text. JSON is exchanged in UTF-8 (RFC 8259), and the parser is more
 * lenient than that: it guesses at UTF-16 and UTF-32 and lets overlong forms and half characters
 * pass, so that what a filter in front has read is not what is served.
 */
final class BodyText {
  private static final int DECODED_AT_ONCE = 4096;

  /** Digits of an escape such as those of 00e9. */
  private static final int ESCAPE_DIGITS = 4;

  private BodyText() {}

  /**
   * Passes text in UTF-8 whose escapes are whole characters too.
   *
   * @throws ApiException 400 with the offset of the first byte that is at fault
   */
  static void check(byte[] body) {
    for (int i = 0; i < body.length; i++) {
      if (body[i] == 0) {
        // JSON text never has it, and other encodings of it always do.
        throw fault(i, "is 0, as in UTF-16 or UTF-32; send the body in UTF-8");
      }
    }
    checkUtf8(body);
    checkEscapes(body);
  }

  private static void checkUtf8(byte[] body) {
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    ByteBuffer in = ByteBuffer.wrap(body);
    CharBuffer out = CharBuffer.allocate(Math.min(DECODED_AT_ONCE, body.length + 1));
    CoderResult result;
    do {
      out.clear();
      result = decoder.decode(in, out, true);
    } while (result.isOverflow());
    if (result.isError()) {
      int at = in.position();
      throw fault(at, "(0x%02x) is not UTF-8; send the body in UTF-8".formatted(body[at] & 0xff));
    }
  }

  private static void checkEscapes(byte[] body) {
    for (int i = 0; i < body.length; i++) {
      if (body[i] != '\\') {
        continue;
      }
      int unit = escaped(body, i);
      if (unit < 0 || !Character.isSurrogate((char) unit)) {
        // Over what is escaped, which may be another backslash.
        i++;
        continue;
      }
      int second = escaped(body, i + ESCAPE_DIGITS + 2);
      if (!Character.isHighSurrogate((char) unit)
          || second < 0
          || !Character.isLowSurrogate((char) second)) {
        throw fault(
            i,
            "begins the escape \\u%04x, which is half a character (a lone surrogate); send both halves, or the character itself in UTF-8"
                .formatted(unit));
      }
      i += 2 * (ESCAPE_DIGITS + 2) - 1;
    }
  }

  /** The UTF-16 unit of the escape that begins at {@code at}; negative if none does. */
  private static int escaped(byte[] body, int at) {
    if (at + ESCAPE_DIGITS + 2 > body.length || body[at] != '\\' || body[at + 1] != 'u') {
      return -1;
    }
    int unit = 0;
    for (int i = at + 2; i < at + 2 + ESCAPE_DIGITS; i++) {
      int digit = Character.digit(body[i], 16);
      if (digit < 0) {
        return -1;
      }
      unit = 16 * unit + digit;
    }
    return unit;
  }

  private static ApiException fault(int offset, String what) {
    return ApiException.invalid(
        null,
        "invalid_json",
        "The body is not valid JSON: its byte %d (counted from 0) %s.".formatted(offset, what));
  }
}

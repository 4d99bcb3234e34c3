package dev.kvdrive.text;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The printable stand-ins that GPT-2's byte-level vocabularies use for the 256 bytes: printable
 * Latin-1 characters stand for themselves, the others for U+0100 and up in byte order.
 */
final class ByteAlphabet {

  private static final char[] CHARS = new char[256];
  private static final short[] BYTES = new short[0x100 + 256];

  static {
    Arrays.fill(BYTES, (short) -1);
    int next = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      CHARS[b] = (char) (printable ? b : next++);
      BYTES[CHARS[b]] = (short) b;
    }
  }

  private ByteAlphabet() {}

  static char charOf(int b) {
    return CHARS[b & 0xff];
  }

  /** The bytes a token stands for; a token with any other character stands for its UTF-8. */
  static byte[] bytes(String piece) {
    byte[] bytes = new byte[piece.length()];
    for (int i = 0; i < bytes.length; i++) {
      char c = piece.charAt(i);
      if (c >= BYTES.length || BYTES[c] < 0) {
        return piece.getBytes(StandardCharsets.UTF_8);
      }
      bytes[i] = (byte) BYTES[c];
    }
    return bytes;
  }
}

package dev.kvdrive.schedule;

import dev.kvdrive.text.PromptText;
import dev.kvdrive.text.SpecialTokens;
import dev.kvdrive.text.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The vocabulary of the golden models: token {@code i} is a letter, some are two letters, and two
 * of them are the halves of a character, so that text and tokens have different borders.
 */
final class LetterTokenizer implements Tokenizer {
  /** Tokens of the golden models. */
  static final int VOCABULARY = 160;

  static final int END = 2;

  /** First and second byte of "é". */
  static final int FIRST_HALF = 120;

  static final int SECOND_HALF = 121;

  @Override
  public int[] encode(CharSequence text, boolean parseSpecial) {
    throw new UnsupportedOperationException("tests name their tokens");
  }

  @Override
  public int[] encode(PromptText prompt) {
    throw new UnsupportedOperationException("tests name their tokens");
  }

  @Override
  public String decode(int[] ids, boolean skipSpecial) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int id : ids) {
      bytes.writeBytes(skipSpecial && isSpecial(id) ? new byte[0] : bytes(id));
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Override
  public byte[] bytes(int id) {
    return switch (id) {
      case END -> "<end>".getBytes(StandardCharsets.UTF_8);
      case FIRST_HALF -> new byte[] {(byte) 0xC3};
      case SECOND_HALF -> new byte[] {(byte) 0xA9};
      default -> id < 100 ? new byte[] {letter(id)} : new byte[] {letter(id), letter(id + 7)};
    };
  }

  private static byte letter(int id) {
    return (byte) ('a' + id % 26);
  }

  @Override
  public String piece(int id) {
    return new String(bytes(id), StandardCharsets.UTF_8);
  }

  @Override
  public boolean isSpecial(int id) {
    return id == END;
  }

  @Override
  public boolean stripsLeadingSpace() {
    return false;
  }

  @Override
  public int vocabularySize() {
    return VOCABULARY;
  }

  @Override
  public SpecialTokens special() {
    return new SpecialTokens(OptionalInt.empty(), OptionalInt.of(END), Set.of(END), false, false);
  }
}

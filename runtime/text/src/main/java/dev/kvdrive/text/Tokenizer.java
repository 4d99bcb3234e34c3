package dev.kvdrive.text;

import java.util.OptionalInt;

/**
 * Text to token ids and back. Implementations are immutable and may be used from any thread.
 *
 * <p>Special tokens are the control tokens of the vocabulary ({@code <|im_start|>}, {@code
 * <|eot_id|>}, ...). Text that a user wrote must never become one: a prompt made by a {@link
 * ChatTemplate} goes through {@link #encode(PromptText)}, which recognises them only in the text of
 * the template itself.
 */
public interface Tokenizer {

  /**
   * The token ids of a text, without any token added at its start or end.
   *
   * @param parseSpecial true: the text of a special token becomes that token, wherever it stands.
   *     Only for text that is trusted as a whole. False: such text is encoded like any other
   */
  int[] encode(CharSequence text, boolean parseSpecial);

  /**
   * The token ids of a rendered prompt. The text of a special token becomes that token only when
   * every character of it came from the template; characters of messages are always plain text.
   */
  int[] encode(PromptText prompt);

  /**
   * The token ids of a raw prompt (no chat template), between the beginning- and end-of-sequence
   * tokens that the model wants added. One that the prompt has written there itself is not doubled.
   *
   * @param parseSpecial as in {@link #encode(CharSequence, boolean)}
   */
  default int[] encodePrompt(CharSequence text, boolean parseSpecial) {
    int[] ids = encode(text, parseSpecial);
    SpecialTokens special = special();
    int head = special.addBos() && isMissing(special.bos(), ids, 0) ? 1 : 0;
    int tail = special.addEos() && isMissing(special.eos(), ids, ids.length - 1) ? 1 : 0;
    if (head + tail == 0) {
      return ids;
    }
    int[] framed = new int[head + ids.length + tail];
    System.arraycopy(ids, 0, framed, head, ids.length);
    if (head == 1) {
      framed[0] = special.bos().getAsInt();
    }
    if (tail == 1) {
      framed[framed.length - 1] = special.eos().getAsInt();
    }
    return framed;
  }

  private static boolean isMissing(OptionalInt token, int[] ids, int at) {
    return token.isPresent() && (ids.length == 0 || ids[at] != token.getAsInt());
  }

  /**
   * The text of the ids. Bytes that are no UTF-8 become U+FFFD.
   *
   * @param skipSpecial leave special tokens out
   * @throws IllegalArgumentException when an id is outside the vocabulary
   */
  String decode(int[] ids, boolean skipSpecial);

  /**
   * The bytes that a token adds to a text (for a special token: its text in UTF-8), as a new array.
   * A space that the vocabulary puts in front of the first word is part of them.
   *
   * @throws IllegalArgumentException when the id is outside the vocabulary
   */
  byte[] bytes(int id);

  /**
   * The token as the vocabulary spells it, for example {@code Ġthe} or {@code ▁the}.
   *
   * @throws IllegalArgumentException when the id is outside the vocabulary
   */
  String piece(int id);

  /** Whether the id is a special token: left out of answers, never made from a user's text. */
  boolean isSpecial(int id);

  /**
   * Whether a decoded text loses the space that the vocabulary puts in front of its first word
   * (SentencePiece with a dummy prefix).
   */
  boolean stripsLeadingSpace();

  /** Number of ids; every id is below it. */
  int vocabularySize();

  SpecialTokens special();
}

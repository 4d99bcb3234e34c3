package dev.kvdrive.text;

/** Turns one pre-token (a piece of text no token crosses) into token ids. Thread-safe. */
interface WordModel {

  /**
   * Appends the ids of {@code text[from, to)}.
   *
   * @throws TokenizerException when that takes more than {@code work} allows
   */
  void encode(String text, int from, int to, EncodingWork work, Ids out);
}

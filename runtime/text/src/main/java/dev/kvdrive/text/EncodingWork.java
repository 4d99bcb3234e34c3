package dev.kvdrive.text;

/**
 * What encoding one text may cost. Patterns and replacements come with the model file, and one that
 * was made to backtrack without end or to blow a text up ends here, whichever of its stages does
 * it. Real tokenizers read each character a few times and write hardly more than they read.
 *
 * <p>One for each text; used by one thread.
 */
final class EncodingWork {
  private static final long READS_PER_CHAR = 256;
  private static final long READS_AT_LEAST = 1_000_000;
  private static final long GROWTH = 32;
  private static final long CHARS_AT_LEAST = 4096;

  private final long mostChars;
  private long readsLeft;

  /**
   * @param chars characters of the text
   * @param stages normalizers and pre-tokenizers that read it, one after the other
   */
  EncodingWork(int chars, int stages) {
    readsLeft = READS_AT_LEAST + READS_PER_CHAR * chars * Math.max(1, stages);
    mostChars = CHARS_AT_LEAST + GROWTH * chars;
  }

  /** The text for a pattern to look at, each look counted. */
  CharSequence counted(String text) {
    return new Counted(text);
  }

  /**
   * Says how long a text has become, before it is written.
   *
   * @throws TokenizerException when that is out of all proportion
   */
  void grows(long chars) {
    if (chars > mostChars) {
      throw new TokenizerException(
          "the tokenizer's normalizer makes a text more than "
              + GROWTH
              + " times as long; tokenizer.json is broken or hostile");
    }
  }

  private void read() {
    if (--readsLeft < 0) {
      throw new TokenizerException(
          "the tokenizer's patterns take more than "
              + READS_PER_CHAR
              + " steps per character on this text; they are broken or hostile");
    }
  }

  private final class Counted implements CharSequence {
    private final String text;

    Counted(String text) {
      this.text = text;
    }

    @Override
    public char charAt(int index) {
      read();
      return text.charAt(index);
    }

    @Override
    public int length() {
      return text.length();
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return text.subSequence(start, end);
    }

    @Override
    public String toString() {
      return text;
    }
  }
}

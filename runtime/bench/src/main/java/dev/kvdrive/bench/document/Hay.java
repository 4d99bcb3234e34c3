package dev.kvdrive.bench.document;

/** Text in which nothing is hidden. */
public final class Hay {
  private Hay() {}

  /**
   * At least so many characters of whole sentences, in paragraphs; the same for the same seed.
   *
   * @param characters at least
   */
  public static String of(long seed, int characters) {
    Prose prose = new Prose(seed);
    StringBuilder text = new StringBuilder(characters + 200);
    for (int sentence = 1; text.length() < characters; sentence++) {
      text.append(prose.sentence()).append(sentence % 6 == 0 ? "\n\n" : " ");
    }
    return text.toString();
  }
}

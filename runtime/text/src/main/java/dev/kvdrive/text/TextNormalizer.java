package dev.kvdrive.text;

import java.text.Normalizer;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A normalisation that a vocabulary asks for before pre-tokenisation. Immutable. */
@FunctionalInterface
interface TextNormalizer {

  /**
   * The text as the vocabulary wants it.
   *
   * @throws TokenizerException when that takes more than {@code work} allows
   */
  String apply(String text, EncodingWork work);

  /** One after the other. */
  static TextNormalizer all(List<TextNormalizer> normalizers) {
    List<TextNormalizer> stages = List.copyOf(normalizers);
    return (text, work) -> {
      String normal = text;
      for (TextNormalizer stage : stages) {
        normal = stage.apply(normal, work);
        work.grows(normal.length());
      }
      return normal;
    };
  }

  static TextNormalizer unicode(Normalizer.Form form) {
    return (text, work) ->
        Normalizer.isNormalized(text, form) ? text : Normalizer.normalize(text, form);
  }

  /** Something in front of a text that is not empty. */
  static TextNormalizer prepend(String prefix) {
    return (text, work) -> text.isEmpty() ? text : prefix + text;
  }

  /** Every match of a pattern becomes {@code with}, as it is written. */
  static TextNormalizer replace(Pattern what, String with) {
    return (text, work) -> {
      Matcher matcher = what.matcher(work.counted(text));
      if (!PreTokenizer.find(matcher, what)) {
        return text;
      }
      StringBuilder out = new StringBuilder(text.length());
      int done = 0;
      do {
        out.append(text, done, matcher.start()).append(with);
        done = matcher.end();
        work.grows(out.length() + (text.length() - done));
      } while (PreTokenizer.find(matcher, what));
      return out.append(text, done, text.length()).toString();
    };
  }

  static TextNormalizer strip(boolean left, boolean right) {
    return (text, work) -> {
      String stripped = left ? text.stripLeading() : text;
      return right ? stripped.stripTrailing() : stripped;
    };
  }

  /** Runs of spaces become one; none at either end. */
  static TextNormalizer singleSpaces() {
    TextNormalizer one = replace(Pattern.compile(" {2,}"), " ");
    return (text, work) -> one.apply(text, work).strip();
  }
}

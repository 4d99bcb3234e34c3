package dev.kvdrive.text;

import java.text.Normalizer;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/** The text normalisations that vocabularies ask for before pre-tokenisation. */
final class Normalizers {

  private static final Pattern SPACES = Pattern.compile(" {2,}");

  private Normalizers() {}

  static UnaryOperator<String> then(UnaryOperator<String> first, UnaryOperator<String> second) {
    return text -> second.apply(first.apply(text));
  }

  static UnaryOperator<String> unicode(Normalizer.Form form) {
    return text -> Normalizer.isNormalized(text, form) ? text : Normalizer.normalize(text, form);
  }

  /** Something in front of a text that is not empty. */
  static UnaryOperator<String> prepend(String prefix) {
    return text -> text.isEmpty() ? text : prefix + text;
  }

  static UnaryOperator<String> replace(String what, String with) {
    return text -> text.replace(what, with);
  }

  static UnaryOperator<String> strip(boolean left, boolean right) {
    return text -> {
      String stripped = left ? text.stripLeading() : text;
      return right ? stripped.stripTrailing() : stripped;
    };
  }

  /** Runs of spaces become one; none at either end. */
  static UnaryOperator<String> singleSpaces() {
    return text -> SPACES.matcher(text).replaceAll(" ").strip();
  }
}

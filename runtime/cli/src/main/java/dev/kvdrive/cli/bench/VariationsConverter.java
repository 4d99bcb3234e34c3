package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.matrix.Variation;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a variation of the method, or a word for several of them. */
final class VariationsConverter implements ITypeConverter<List<Variation>> {
  /** All of them, in the words of a user. */
  static final class Words extends ArrayList<String> {
    Words() {
      super(
          Arrays.stream(Variation.values())
              .filter(variation -> variation != Variation.NONE)
              .map(Variation::key)
              .toList());
    }
  }

  @Override
  public List<Variation> convert(String value) {
    String word = value.toLowerCase(Locale.ROOT);
    List<Variation> named =
        Arrays.stream(Variation.values())
            .filter(
                variation ->
                    variation != Variation.NONE
                        && (variation.key().equals(word)
                            || (variation.kind().name() + "S").equalsIgnoreCase(word)))
            .toList();
    if (named.isEmpty() && !word.equals("nothing")) {
      throw new TypeConversionException(
          "there is no '%s'; there are nothing, parts, baselines, %s"
              .formatted(value, String.join(", ", new Words())));
    }
    return named;
  }
}

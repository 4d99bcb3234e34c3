package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.speed.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A part of the method on the command line: by-reuse. */
final class PartConverter implements ITypeConverter<Part> {
  /** What there is, in the order of the method. */
  static final class Words extends ArrayList<String> {
    Words() {
      super(Arrays.stream(Part.values()).map(Part::toString).toList());
    }
  }

  @Override
  public Part convert(String value) {
    String word = value.toLowerCase(Locale.ROOT).replace('_', '-');
    return Arrays.stream(Part.values())
        .filter(part -> part.toString().equals(word))
        .findFirst()
        .orElseThrow(
            () ->
                new TypeConversionException(
                    "there is no '%s'; there are %s"
                        .formatted(value, String.join(", ", new Words()))));
  }
}

package dev.kvdrive.cli.option;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Lengths of prompts on the command line: 8k, which is 8000, or 500. */
public final class LengthConverter implements ITypeConverter<Integer> {
  @Override
  public Integer convert(String value) {
    if (!value.matches("[1-9][0-9]{0,6}k?") || (value.endsWith("k") && value.length() > 5)) {
      throw new TypeConversionException(
          "'%s' is no length in tokens; write for instance 8k or 500".formatted(value));
    }
    return value.endsWith("k")
        ? 1000 * Integer.parseInt(value.substring(0, value.length() - 1))
        : Integer.parseInt(value);
  }
}

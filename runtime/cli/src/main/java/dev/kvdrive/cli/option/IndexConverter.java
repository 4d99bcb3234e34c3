package dev.kvdrive.cli.option;

import dev.kvdrive.plan.SummaryFormat;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Formats of an index on the command line: two-bit, planes-128. */
public final class IndexConverter implements ITypeConverter<SummaryFormat> {
  @Override
  public SummaryFormat convert(String value) {
    try {
      return SummaryFormat.parse(value);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }
}

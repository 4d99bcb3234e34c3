package dev.kvdrive.cli.option;

import dev.kvdrive.plan.IndexShape;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** An index on the command line: two-bit, planes-128, planes-96+clusters-64. */
public final class IndexConverter implements ITypeConverter<IndexShape> {
  @Override
  public IndexShape convert(String value) {
    try {
      return IndexShape.parse(value);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }
}

package dev.kvdrive.cli.option;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Shares of the requests on the command line: 10%, 0.1, 0. */
public final class SamplingConverter implements ITypeConverter<Double> {
  @Override
  public Double convert(String value) {
    try {
      double share = ShareConverter.number(value);
      if (share >= 0 && share <= 1) {
        return share;
      }
    } catch (NumberFormatException e) {
      // told below, like a number out of range
    }
    throw new TypeConversionException(
        "'%s' is no share of the requests; write for instance 10%%, 0.1 or 0".formatted(value));
  }
}

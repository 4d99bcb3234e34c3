package dev.kvdrive.cli.option;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Shares of the time for the accuracy meter: 1%, 0.01, off. */
public final class MeterConverter implements ITypeConverter<Double> {
  private final ShareConverter shares = new ShareConverter();

  @Override
  public Double convert(String value) {
    if (value.equalsIgnoreCase("off") || value.equals("0") || value.equals("0%")) {
      return 0.0;
    }
    try {
      return shares.convert(value);
    } catch (TypeConversionException e) {
      throw new TypeConversionException(
          "'%s' is not a share of the time; write for instance 1%%, or off".formatted(value));
    }
  }
}

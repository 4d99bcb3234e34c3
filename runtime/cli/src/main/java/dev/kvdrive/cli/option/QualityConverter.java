package dev.kvdrive.cli.option;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Shares of the attention that are kept: 99%, 0.99. */
public final class QualityConverter implements ITypeConverter<Double> {
  private final ShareConverter shares = new ShareConverter();

  @Override
  public Double convert(String value) {
    try {
      double share = shares.convert(value);
      if (share < 1) {
        return share;
      }
    } catch (TypeConversionException e) {
      // told below, like all of it
    }
    throw new TypeConversionException(
        "'%s' is not a share of the attention below 100%%; write for instance 99%%, or leave it out and take the budget exact"
            .formatted(value));
  }
}

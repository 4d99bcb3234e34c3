package dev.kvdrive.cli.option;

import java.math.BigDecimal;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Shares of the context on the command line: 6.25%, 0.0625, 100%, exact. */
public final class ShareConverter implements ITypeConverter<Double> {
  /** The word for a share of 1. */
  public static final String EXACT = "exact";

  @Override
  public Double convert(String value) {
    if (value.equalsIgnoreCase(EXACT)) {
      return 1.0;
    }
    try {
      double share = number(value);
      if (share > 0 && share <= 1) {
        return share;
      }
    } catch (NumberFormatException e) {
      // told below, like a number out of range
    }
    throw new TypeConversionException(
        "'%s' is not a share of the context; write for instance 6.25%%, 100%% or exact"
            .formatted(value));
  }

  /**
   * A number, or one with a percent sign as a hundredth of it.
   *
   * @throws NumberFormatException if it is none
   */
  static double number(String value) {
    boolean percent = value.endsWith("%");
    BigDecimal number = new BigDecimal(percent ? value.substring(0, value.length() - 1) : value);
    return (percent ? number.movePointLeft(2) : number).doubleValue();
  }
}

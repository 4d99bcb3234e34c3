package dev.kvdrive.cli;

import java.math.BigDecimal;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Shares on the command line: 6.25%, 0.0625, 100%. */
final class ShareConverter implements ITypeConverter<Double> {
  @Override
  public Double convert(String value) {
    try {
      boolean percent = value.endsWith("%");
      BigDecimal number = new BigDecimal(percent ? value.substring(0, value.length() - 1) : value);
      double share = (percent ? number.movePointLeft(2) : number).doubleValue();
      if (share > 0 && share <= 1) {
        return share;
      }
    } catch (NumberFormatException e) {
      // told below, like a number out of range
    }
    throw new TypeConversionException(
        "'%s' is not a share of the context; write for instance 6.25%% or 100%%".formatted(value));
  }
}

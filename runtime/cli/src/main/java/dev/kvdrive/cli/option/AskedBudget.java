package dev.kvdrive.cli.option;

import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A budget as it is written on the command line.
 *
 * @param share of the context; null for {@code auto}
 */
public record AskedBudget(@Nullable Double share) {
  /** What attends as little as is enough for a quality. */
  static final String AUTO = "auto";

  /** Shares, exact and auto. */
  public static final class Converter implements ITypeConverter<AskedBudget> {
    private final ShareConverter shares = new ShareConverter();

    @Override
    public AskedBudget convert(String value) {
      if (value.equalsIgnoreCase(AUTO)) {
        return new AskedBudget(null);
      }
      try {
        return new AskedBudget(shares.convert(value));
      } catch (TypeConversionException e) {
        throw new TypeConversionException(e.getMessage() + ", or auto");
      }
    }
  }
}

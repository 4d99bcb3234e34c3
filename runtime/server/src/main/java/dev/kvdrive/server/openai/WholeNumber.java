package dev.kvdrive.server.openai;

import java.math.BigDecimal;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * A number for a field of whole ones, as its sender wrote it: {@code 16}, {@code 16.0} or {@code
 * 1.6e1}. Only who reads the field knows its range, so no range of a type of Java's comes before
 * that. Immutable.
 *
 * @param text in JSON's syntax, of bounded length
 */
public record WholeNumber(String text) {
  /** As many digits in front of the point as no 64 bits have. */
  private static final int TOO_MANY_DIGITS = 20;

  /** Whether it is whole. */
  boolean isWhole() {
    BigDecimal exact = exact();
    // Without its digits being written out: an exponent may ask for billions of them.
    return exact == null
        ? Double.isInfinite(Double.parseDouble(text))
        : exact.stripTrailingZeros().scale() <= 0;
  }

  /** Its value; empty if it is not whole or has no place in 64 bits. */
  OptionalLong value() {
    BigDecimal exact = exact();
    if (exact == null || (long) exact.precision() - exact.scale() > TOO_MANY_DIGITS) {
      return OptionalLong.empty();
    }
    try {
      return OptionalLong.of(exact.longValueExact());
    } catch (ArithmeticException e) {
      return OptionalLong.empty();
    }
  }

  /** Null if its exponent is beyond those of decimals too. */
  private @Nullable BigDecimal exact() {
    try {
      return new BigDecimal(text);
    } catch (NumberFormatException e) {
      return null;
    }
  }
}

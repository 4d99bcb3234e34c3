package dev.kvdrive.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * How Python writes a number by the letter of a format: {@code d b o x X} for integers, {@code e f
 * g} for floats.
 */
final class NumberFormat {

  private static final int MAX_PRECISION = 1000;
  private static final int DEFAULT_PRECISION = 6;

  private NumberFormat() {}

  /** The precision, or 6 where there is none. */
  static int precision(int given) {
    if (given > MAX_PRECISION) {
      throw new TemplateException(
          "a format asks for " + given + " digits; at most " + MAX_PRECISION + " can be had");
    }
    return given < 0 ? DEFAULT_PRECISION : given;
  }

  /** Digits of a number that is not negative, without prefix. */
  static String digits(BigInteger magnitude, char letter) {
    return switch (letter) {
      case 'b' -> magnitude.toString(2);
      case 'o' -> magnitude.toString(8);
      case 'x' -> magnitude.toString(16);
      case 'X' -> magnitude.toString(16).toUpperCase(Locale.ROOT);
      default -> magnitude.toString();
    };
  }

  /** What stands before the digits in the alternate form. */
  static String prefix(char letter) {
    return switch (letter) {
      case 'b' -> "0b";
      case 'o' -> "0o";
      case 'x' -> "0x";
      case 'X' -> "0X";
      default -> "";
    };
  }

  /** The sign to write, or nothing. */
  static String sign(boolean negative, char wanted) {
    return negative ? "-" : wanted == '+' ? "+" : wanted == ' ' ? " " : "";
  }

  /** Whether a float is written with a minus. */
  static boolean isNegative(double value) {
    return value < 0 || (value == 0 && 1 / value < 0);
  }

  /**
   * A float without its sign.
   *
   * @param letter one of {@code e E f F g G}
   * @param alternate a point in any case, and no zeros taken off
   */
  static String decimal(double value, char letter, int precision, boolean alternate) {
    boolean upper = Character.isUpperCase(letter);
    String special = special(value, upper);
    if (special != null) {
      return special;
    }
    BigDecimal exact = new BigDecimal(Math.abs(value));
    String written =
        switch (Character.toLowerCase(letter)) {
          case 'f' -> point(fixed(exact, precision), alternate);
          case 'e' -> exponential(exact, precision, alternate);
          default -> general(exact, Math.max(1, precision), alternate, false);
        };
    return upper ? written.toUpperCase(Locale.ROOT) : written;
  }

  /** A float with so many significant digits that still looks like a float. */
  static String plain(double value, int precision) {
    String special = special(value, false);
    return special != null
        ? special
        : general(new BigDecimal(Math.abs(value)), Math.max(1, precision), false, true);
  }

  private static @Nullable String special(double value, boolean upper) {
    if (Double.isFinite(value)) {
      return null;
    }
    String name = Double.isNaN(value) ? "nan" : "inf";
    return upper ? name.toUpperCase(Locale.ROOT) : name;
  }

  private static String fixed(BigDecimal exact, int decimals) {
    return exact.setScale(decimals, RoundingMode.HALF_EVEN).toPlainString();
  }

  private static String point(String digits, boolean always) {
    return always && digits.indexOf('.') < 0 ? digits + "." : digits;
  }

  private static String exponential(BigDecimal exact, int decimals, boolean alternate) {
    String digits = "0".repeat(decimals + 1);
    int exponent = 0;
    if (exact.signum() != 0) {
      BigDecimal rounded = exact.round(new MathContext(decimals + 1, RoundingMode.HALF_EVEN));
      String found = rounded.unscaledValue().toString();
      exponent = found.length() - rounded.scale() - 1;
      digits = found + "0".repeat(Math.max(0, decimals + 1 - found.length()));
    }
    String mantissa =
        digits.charAt(0) + (decimals > 0 ? "." + digits.substring(1, decimals + 1) : "");
    return point(mantissa, alternate) + exponent(exponent);
  }

  private static String exponent(int exponent) {
    return (exponent < 0 ? "e-" : "e+") + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
  }

  private static String general(
      BigDecimal exact, int significant, boolean alternate, boolean withPoint) {
    int exponent = 0;
    if (exact.signum() != 0) {
      BigDecimal rounded = exact.round(new MathContext(significant, RoundingMode.HALF_EVEN));
      exponent = rounded.precision() - rounded.scale() - 1;
    }
    if (exponent < -4 || exponent >= significant - (withPoint ? 1 : 0)) {
      String written = exponential(exact, significant - 1, alternate);
      int e = written.indexOf('e');
      return alternate ? written : stripped(written.substring(0, e)) + written.substring(e);
    }
    String written = fixed(exact, Math.max(0, significant - 1 - exponent));
    if (alternate) {
      return point(written, true);
    }
    String shortest = stripped(written);
    return withPoint && shortest.indexOf('.') < 0 ? shortest + ".0" : shortest;
  }

  private static String stripped(String digits) {
    if (digits.indexOf('.') < 0) {
      return digits;
    }
    int end = digits.length();
    while (digits.charAt(end - 1) == '0') {
      end--;
    }
    return digits.substring(0, digits.charAt(end - 1) == '.' ? end - 1 : end);
  }
}

package dev.kvdrive.plan;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Byte sizes as people and Kubernetes manifests write them. */
public final class ByteSize {
  /** Bytes of one mebibyte. */
  public static final long MIB = 1L << 20;

  /** Bytes of one gibibyte. */
  public static final long GIB = 1L << 30;

  /** A Kubernetes quantity: sign, number, and a suffix or a decimal exponent. */
  private static final Pattern QUANTITY =
      Pattern.compile(
          "([+-]?)(\\d{1,40}(?:\\.\\d{0,40})?|\\.\\d{1,40})"
              + "(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\\d{1,3})");

  /**
   * What people write beside that: spaces around and before the unit, a capital K, a B for bytes.
   */
  private static final Pattern WRITTEN =
      Pattern.compile("\\s*([+-]?[\\d.]+)\\s*(?:([kKMGTPE]?i?)B|((?:[a-zA-Z]\\S*)?))\\s*");

  private static final BigDecimal MOST = BigDecimal.valueOf(Long.MAX_VALUE);
  private static final BigDecimal KIBI = BigDecimal.valueOf(1024);
  private static final String BINARY = "KMGTPE";

  /** Decimal suffixes; the place of each says its power of 1000, beginning with -3. */
  private static final String DECIMAL = "num kMGTPE";

  private ByteSize() {}

  /**
   * Reads a size as people write it: whatever {@link #quantity} reads, with spaces around it, and
   * with a {@code B} after the unit.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a size, is negative or does not fit 63 bits
   */
  public static long parse(String field, String text) {
    Matcher m = WRITTEN.matcher(text);
    if (!m.matches()) {
      throw notASize(field, text);
    }
    String unit = m.group(2) == null ? m.group(3) : m.group(2);
    unit = unit.equals("K") ? "k" : unit.equals("ki") ? "Ki" : unit;
    return bytes(field, text, m.group(1) + unit);
  }

  /**
   * Reads a quantity exactly as the Kubernetes API server does: a number, optionally with a decimal
   * (n, u, m, k, M, G, T, P, E) or binary (Ki, Mi, Gi, Ti, Pi, Ei) suffix or a decimal exponent of
   * up to three digits. What is not a whole number of bytes is rounded down.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity, is negative or does not fit 63 bits
   */
  public static long quantity(String field, String text) {
    return bytes(field, text, text);
  }

  private static long bytes(String field, String said, String quantity) {
    Matcher m = QUANTITY.matcher(quantity);
    if (!m.matches()) {
      throw notASize(field, said);
    }
    BigDecimal bytes = new BigDecimal(m.group(2)).multiply(factor(m.group(3)));
    boolean negative = m.group(1).equals("-") && bytes.signum() != 0;
    if (negative || bytes.compareTo(MOST) > 0) {
      throw new IllegalArgumentException("%s: '%s' is outside of 0 to 8Ei".formatted(field, said));
    }
    return bytes.setScale(0, RoundingMode.DOWN).longValueExact();
  }

  private static BigDecimal factor(String suffix) {
    if (suffix.isEmpty()) {
      return BigDecimal.ONE;
    }
    if (suffix.endsWith("i")) {
      return KIBI.pow(BINARY.indexOf(suffix.charAt(0)) + 1);
    }
    return suffix.length() == 1
        ? BigDecimal.ONE.scaleByPowerOfTen(3 * (DECIMAL.indexOf(suffix) - DECIMAL.indexOf(' ')))
        : BigDecimal.ONE.scaleByPowerOfTen(Integer.parseInt(suffix.substring(1)));
  }

  private static IllegalArgumentException notASize(String field, String text) {
    return new IllegalArgumentException(
        "%s: '%s' is not a size; write for instance 512Mi or 24Gi".formatted(field, text));
  }

  /** The sum of two sizes, or the largest number there is if it is more. */
  public static long sum(long a, long b) {
    return a > Long.MAX_VALUE - b ? Long.MAX_VALUE : a + b;
  }

  /** A size with three significant digits and a binary unit, for instance {@code 1.46 GiB}. */
  public static String human(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    String[] units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = bytes;
    int unit = -1;
    do {
      value /= 1024;
      unit++;
    } while (value >= 999.5 && unit < units.length - 1);
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return String.format(Locale.ROOT, "%." + decimals + "f %s", value, units[unit]);
  }

  /** The smallest multiple of one MiB that is not below {@code bytes}, as Kubernetes writes it. */
  public static String mebibytes(long bytes) {
    return Math.ceilDiv(bytes, MIB) + "Mi";
  }
}

package dev.kvdrive.plan;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.LongStream;

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
   * @throws IllegalArgumentException if it is not a size, is a fraction of bytes, is negative or
   *     does not fit 63 bits
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
   * up to three digits. What is not a whole number of bytes is rounded up, as Kubernetes does it
   * ({@code 1.1Gi}). Of bytes themselves, and of what is smaller, there are no fractions: {@code
   * 1.5} lacks its unit, and {@code 1m} is a thousandth of a byte where a megabyte was meant.
   * Kubernetes takes those and warns; here they would plan a tier of no bytes.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity, is a fraction of bytes, is negative
   *     or does not fit 63 bits
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
    if (m.group(1).equals("-") && bytes.signum() != 0) {
      throw new IllegalArgumentException(
          "%s: '%s' is negative; write a size without a sign, for instance 512Mi or 24Gi"
              .formatted(field, said));
    }
    if (bytes.compareTo(MOST) > 0) {
      throw new IllegalArgumentException(
          "%s: '%s' is not below 8Ei, the most that can be counted; write a smaller size, for instance 24Gi"
              .formatted(field, said));
    }
    BigDecimal whole = bytes.setScale(0, RoundingMode.CEILING);
    if (whole.compareTo(bytes) != 0 && factor(m.group(3)).compareTo(BigDecimal.ONE) <= 0) {
      throw new IllegalArgumentException(
          "%s: '%s' is a fraction of bytes%s; write it with its unit, for instance 512Mi or 1.5Gi"
              .formatted(
                  field,
                  said,
                  m.group(3).equals("m")
                      ? ", because m is a thousandth and the unit of a million is M"
                      : ""));
    }
    return whole.longValueExact();
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
    int unit = unit(bytes);
    if (unit < 0) {
      return bytes + " B";
    }
    double value = bytes / Math.pow(1024, unit + 1);
    return String.format(Locale.ROOT, "%." + decimals(value) + "f %s", value, name(unit));
  }

  /** The unit in which a size has at most three digits before the point; -1 for bytes. */
  private static int unit(long bytes) {
    if (bytes < 1024) {
      return -1;
    }
    double value = bytes;
    int unit = -1;
    do {
      value /= 1024;
      unit++;
    } while (value >= 999.5 && unit < BINARY.length() - 1);
    return unit;
  }

  /** Digits behind the point, so that there are three in all. */
  private static int decimals(double value) {
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  }

  private static String name(int unit) {
    return unit < 0 ? "B" : BINARY.charAt(unit) + "iB";
  }

  /**
   * Sizes and their sum, so that a reader who adds them up gets what is written: all in the unit in
   * which the smallest of them is still seen, rounded up, and the sum is that of the rounded ones.
   *
   * @param parts not negative
   * @return the texts of the parts, then that of the sum
   */
  public static List<String> adding(long... parts) {
    long smallest = LongStream.of(parts).filter(part -> part > 0).min().orElse(0);
    int unit = unit(smallest);
    int decimals = unit < 0 ? 0 : decimals(smallest / Math.pow(1024, unit + 1));
    BigDecimal sum = BigDecimal.ZERO;
    List<String> texts = new ArrayList<>();
    for (long part : parts) {
      BigDecimal rounded =
          BigDecimal.valueOf(part).divide(KIBI.pow(unit + 1), decimals, RoundingMode.CEILING);
      sum = sum.add(rounded);
      texts.add(text(rounded, unit));
    }
    texts.add(text(sum, unit));
    return texts;
  }

  private static String text(BigDecimal amount, int unit) {
    return amount.signum() == 0
        ? "0 B"
        : String.format(Locale.ROOT, "%,." + amount.scale() + "f %s", amount, name(unit));
  }

  /** The smallest multiple of one MiB that is not below {@code bytes}, as Kubernetes writes it. */
  public static String mebibytes(long bytes) {
    return Math.ceilDiv(bytes, MIB) + "Mi";
  }
}

package dev.kvdrive.feasibility;

import dev.kvdrive.plan.ByteSize;
import io.fabric8.kubernetes.api.model.Quantity;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.regex.Pattern;

/** Kubernetes quantities as bytes and back. */
public final class Quantities {
  /** What the definitions allow; what is longer or has a larger exponent is not even parsed. */
  private static final int LONGEST = 32;

  private static final Pattern ABSURD_EXPONENT = Pattern.compile("[eE][+-]?[0-9]{3,}$");
  private static final BigDecimal MOST_PROCESSORS = BigDecimal.valueOf(1_000_000);
  private static final String[] BINARY = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};

  private Quantities() {}

  /**
   * Bytes of a quantity, as {@link ByteSize#quantity} reads them.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity, is a fraction of bytes, is negative,
   *     or does not fit 63 bits
   */
  public static long bytes(String field, Quantity quantity) {
    requireSane(field, quantity, "512Mi or 24Gi");
    return ByteSize.quantity(field, quantity.toString());
  }

  /**
   * Bytes that may be written in a day. Plans take 0 for no limit, so nobody may ask for it.
   *
   * @param field named in the error
   * @throws IllegalArgumentException as {@link #bytes}, and if it is 0
   */
  static long writesPerDay(String field, Quantity quantity) {
    long bytes = bytes(field, quantity);
    if (bytes == 0) {
      throw new IllegalArgumentException(
          "%s: 0 would let nothing be written; leave it out for no limit".formatted(field));
    }
    return bytes;
  }

  /**
   * Whole processors of a quantity, rounded up, at least one.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity, is not above zero, or is above a
   *     million
   */
  public static int processors(String field, Quantity quantity) {
    BigDecimal amount = amount(field, quantity, "500m or 4");
    String wrong = null;
    if (amount.signum() <= 0) {
      wrong = "is not above 0";
    } else if (amount.compareTo(MOST_PROCESSORS) > 0) {
      wrong =
          quantity.getFormat().endsWith("i")
              ? "has a unit of bytes"
              : "is more than " + MOST_PROCESSORS;
    }
    if (wrong != null) {
      throw new IllegalArgumentException(
          "%s: '%s' %s; write a number of processors, for instance 1500m or 4"
              .formatted(field, quantity, wrong));
    }
    return amount.setScale(0, RoundingMode.CEILING).intValueExact();
  }

  /**
   * The number itself, which may be a fraction.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity
   */
  static BigDecimal amount(String field, Quantity quantity) {
    return amount(field, quantity, "500m, 4 or 24Gi");
  }

  private static BigDecimal amount(String field, Quantity quantity, String example) {
    requireSane(field, quantity, example);
    try {
      return Quantity.getAmountInBytes(quantity);
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new IllegalArgumentException(
          "%s: '%s' is not a quantity; write for instance %s".formatted(field, quantity, example),
          e);
    }
  }

  /** Bounds the work of calculating, whatever is written. */
  private static void requireSane(String field, Quantity quantity, String example) {
    String text = quantity.toString();
    if (text.length() > LONGEST || ABSURD_EXPONENT.matcher(text).find()) {
      throw new IllegalArgumentException(
          "%s: '%s' is longer than %d characters or has an exponent of more than two digits; write for instance %s"
              .formatted(
                  field,
                  text.length() > LONGEST ? text.substring(0, LONGEST) + "..." : text,
                  LONGEST,
                  example));
    }
  }

  /**
   * The quantity as the API server itself writes it: the largest binary unit that is exact. Desired
   * objects use it, so that they compare equal to what is stored.
   */
  public static Quantity ofBytes(long bytes) {
    int unit = 0;
    long amount = bytes;
    while (amount != 0 && amount % 1024 == 0 && unit < BINARY.length - 1) {
      amount /= 1024;
      unit++;
    }
    return new Quantity(Long.toString(amount), BINARY[unit]);
  }
}

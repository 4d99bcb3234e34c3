package dev.kvdrive.feasibility;

import io.fabric8.kubernetes.api.model.Quantity;
import java.math.BigDecimal;
import java.math.RoundingMode;

/** Kubernetes quantities as bytes and back. */
public final class Quantities {
  private static final String[] BINARY = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};

  private Quantities() {}

  /**
   * Bytes of a quantity, rounded down.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity, is negative, or is above 8 EiB
   */
  public static long bytes(String field, Quantity quantity) {
    BigDecimal amount;
    try {
      amount = Quantity.getAmountInBytes(quantity);
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new IllegalArgumentException(
          "%s: '%s' is not a quantity; write for instance 512Mi or 24Gi".formatted(field, quantity),
          e);
    }
    if (amount.signum() < 0 || amount.compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) > 0) {
      throw new IllegalArgumentException(
          "%s: %s is outside of 0 to 8Ei".formatted(field, quantity));
    }
    return amount.setScale(0, RoundingMode.DOWN).longValueExact();
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

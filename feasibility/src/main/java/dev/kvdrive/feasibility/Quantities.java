package dev.kvdrive.feasibility;

import dev.kvdrive.plan.ByteSize;
import io.fabric8.kubernetes.api.model.Quantity;

/** Kubernetes quantities as bytes and back. */
public final class Quantities {
  private static final String[] BINARY = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};

  private Quantities() {}

  /**
   * Bytes of a quantity, rounded down.
   *
   * @param field named in the error
   * @throws IllegalArgumentException if it is not a quantity, is negative, or does not fit 63 bits
   */
  public static long bytes(String field, Quantity quantity) {
    return ByteSize.quantity(field, quantity.toString());
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

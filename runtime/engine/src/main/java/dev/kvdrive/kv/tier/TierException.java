package dev.kvdrive.kv.tier;

import org.jspecify.annotations.Nullable;

/** A tier cannot do what was asked; the message names cause, value and way out. */
public final class TierException extends RuntimeException {
  /** {@link #seat} of an error that does not belong to one seat. */
  public static final int NO_SEAT = -1;

  static final String SHUTTING_DOWN = "the engine is shutting down";

  private final int seat;

  public TierException(int seat, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.seat = seat;
  }

  /**
   * The seat for which there was no room, or {@link #NO_SEAT}. Its sequence must be ended and
   * {@link TieredStore#closeSeat closed}; the others can go on.
   */
  public int seat() {
    return seat;
  }
}

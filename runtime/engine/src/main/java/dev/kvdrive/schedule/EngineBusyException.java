package dev.kvdrive.schedule;

import java.time.Duration;

/** There is no room now: the queue is full, or what may be written to NVMe in a day is spent. */
public final class EngineBusyException extends GenerationException {
  private final Duration retryAfter;

  public EngineBusyException(String message, Duration retryAfter) {
    super(message);
    this.retryAfter = retryAfter;
  }

  /** An estimate of when there will be room. */
  public Duration retryAfter() {
    return retryAfter;
  }
}

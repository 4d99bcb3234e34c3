package dev.kvdrive.schedule;

import java.time.Duration;

/** The queue is full. */
public final class EngineBusyException extends GenerationException {
  private final Duration retryAfter;

  public EngineBusyException(String message, Duration retryAfter) {
    super(message);
    this.retryAfter = retryAfter;
  }

  /** An estimate of when a place will be free. */
  public Duration retryAfter() {
    return retryAfter;
  }
}

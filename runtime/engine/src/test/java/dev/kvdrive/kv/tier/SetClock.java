package dev.kvdrive.kv.tier;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/** A clock that goes on when a test says so. Thread-safe. */
public final class SetClock implements InstantSource {
  private volatile Instant now = Instant.parse("2026-01-01T12:30:00Z");

  @Override
  public Instant instant() {
    return now;
  }

  /** Lets time pass; backwards if it is negative. */
  public void pass(Duration time) {
    now = now.plus(time);
  }
}

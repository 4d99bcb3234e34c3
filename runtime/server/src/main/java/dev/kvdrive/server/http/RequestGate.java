package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.ApiException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Bounds the requests inside the server, and with them the memory for bodies, prompts and streams.
 * A little wider than the engine's seats and queue, which say no by themselves with a better
 * estimate of when to come back. Thread-safe.
 */
final class RequestGate {
  /** Requests that may be read or tokenised while every seat and every place is taken. */
  private static final int SPARE = 8;

  private static final Duration RETRY_AFTER = Duration.ofSeconds(1);

  private final AtomicInteger inside = new AtomicInteger();

  /**
   * Takes a place, given back when the scope closes.
   *
   * @param seats of the engine, queue included
   * @throws ApiException 429 when it is full
   */
  void enter(RequestScope scope, int seats) {
    int limit = seats + SPARE;
    if (inside.incrementAndGet() > limit) {
      inside.decrementAndGet();
      throw ApiException.busy(
          "The server is full: %d requests are running, waiting or being read. Try again later."
              .formatted(limit),
          RETRY_AFTER);
    }
    scope.hold(inside::decrementAndGet);
  }

  /** Requests inside. */
  int inside() {
    return inside.get();
  }
}

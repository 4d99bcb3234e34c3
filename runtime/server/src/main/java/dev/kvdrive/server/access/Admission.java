package dev.kvdrive.server.access;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.springframework.web.server.ServerWebExchange;

/**
 * One request of a {@link Caller} that was let in. It counts as running until its generations have
 * ended, or, without any, until its answer is known; a client that reads slowly takes no place.
 * Thread-safe.
 */
public final class Admission implements AutoCloseable {
  private static final String ATTRIBUTE = Admission.class.getName();

  private final Caller caller;
  private final AtomicInteger generations = new AtomicInteger();
  private final AtomicBoolean over = new AtomicBoolean();

  Admission(Caller caller) {
    this.caller = caller;
  }

  /** That of the exchange; null where nobody was asked for a key. */
  public static @Nullable Admission of(ServerWebExchange exchange) {
    return exchange.getAttribute(ATTRIBUTE);
  }

  void attach(ServerWebExchange exchange) {
    exchange.getAttributes().put(ATTRIBUTE, this);
  }

  /** Name of the key that it was let in by. */
  public String key() {
    return caller.name();
  }

  /** So many generations are about to be submitted. */
  public void begin(int choices) {
    generations.set(choices);
  }

  /** They were not taken. */
  public void giveUp() {
    generations.set(0);
  }

  /** One of them has ended. */
  public void ended() {
    if (generations.decrementAndGet() <= 0) {
      close();
    }
  }

  /** The answer, or the beginning of a stream, is about to be sent. */
  void answered() {
    if (generations.get() <= 0) {
      close();
    }
  }

  /** Charges the prompts of its generations. */
  public void chargePrompt(int tokens) {
    caller.chargePrompt(tokens);
  }

  /** Charges tokens that were generated. */
  public void chargeCompletion(int tokens) {
    caller.chargeCompletion(tokens);
  }

  /** The request is over, however it ended. Idempotent. */
  @Override
  public void close() {
    if (over.compareAndSet(false, true)) {
      caller.leave();
    }
  }
}

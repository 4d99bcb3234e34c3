package dev.kvdrive.schedule;

import dev.kvdrive.plan.EngineSizes;
import java.time.Duration;

/**
 * Runs generations over one model on one device, several at once. Thread-safe. All device work
 * happens on one engine thread; listeners are called on it and must not block.
 */
public interface InferenceEngine extends AutoCloseable {
  /** The sizes it was started with. */
  EngineSizes sizes();

  /**
   * Queues a request. The listener is told of everything that follows, in the end exactly one of
   * {@code onFinish} and {@code onError}.
   *
   * @throws EngineBusyException if the queue is full; carries a hint when to retry
   * @throws EngineDrainingException if the engine takes no new requests
   * @throws IllegalArgumentException if prompt and {@code maxTokens} cannot fit the context, or a
   *     token is not in the vocabulary; the message has the numbers
   */
  Generation submit(GenerationRequest request, GenerationListener listener);

  /** A consistent view of tiers, queue and totals; cheap, may be called from any thread. */
  EngineStatus status();

  /**
   * Stops taking requests and waits for the running ones.
   *
   * @return whether all finished in time; those that did not go on until {@link #close}
   */
  boolean drain(Duration timeout) throws InterruptedException;

  /** Cancels what is left and frees every byte of every tier. Idempotent. */
  @Override
  void close();
}

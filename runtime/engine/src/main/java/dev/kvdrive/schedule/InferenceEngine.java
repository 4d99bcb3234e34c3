package dev.kvdrive.schedule;

import dev.kvdrive.plan.EngineSizes;
import java.time.Duration;
import java.util.List;

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
  default Generation submit(GenerationRequest request, GenerationListener listener) {
    return submit(List.of(new Submission(request, listener))).getFirst();
  }

  /**
   * Queues requests that belong together, all or none. Those with the same prompt that find a seat
   * at the same time share one prefill; each is then a sequence of its own.
   *
   * @return their handles, in the order of the submissions
   * @throws EngineBusyException if the queue has no room for all of them
   * @throws EngineDrainingException if the engine takes no new requests
   * @throws IllegalArgumentException if there are none, or one of them can never run
   */
  List<Generation> submit(List<Submission> submissions);

  /** A consistent view of tiers, queue and totals; cheap, may be called from any thread. */
  EngineStatus status();

  /**
   * The last view of the sequences, for somebody who watches; asks for a new one, which the engine
   * thread makes before its next turn. Never waits; may be called from any thread. What an engine
   * does while somebody asks is the same, but that now and then a step is run so that its stages
   * can be timed.
   */
  EngineView view();

  /**
   * Stops taking requests and waits for the running ones.
   *
   * @return whether all finished in time; those that did not go on until {@link #close}
   */
  boolean drain(Duration timeout) throws InterruptedException;

  /**
   * Cancels what is left and frees every byte of every tier. Idempotent, callable from any thread
   * and at any moment, that of the start included. Returns within seconds whatever a disk does;
   * what the engine could not give back by then it keeps, see {@link #released}.
   */
  @Override
  void close();

  /**
   * Whether a closed engine has given back everything. If not, something under way still uses
   * memory of the device or of the model (a read of a disk that does not answer, say): then neither
   * may be closed before the process ends.
   */
  default boolean released() {
    return true;
  }
}

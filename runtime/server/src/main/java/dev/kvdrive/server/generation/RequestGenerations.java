package dev.kvdrive.server.generation;

import dev.kvdrive.schedule.EngineBusyException;
import dev.kvdrive.schedule.EngineDrainingException;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.Generation;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.schedule.Submission;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Sinks;

/**
 * The generations of one HTTP request: admitted all or none, read as one stream of events, ended
 * together.
 *
 * <p>The engine's thread only puts events into a bounded queue and never waits. A reader that lets
 * the queue fill up loses its generations and gets a {@link SlowReaderException} after what was
 * queued, so memory is bounded and the other users never notice. Thread-safe.
 */
public final class RequestGenerations {
  private final Sinks.Many<GenerationEvent> sink;
  private final List<Generation> generations = new ArrayList<>();
  private final int capacity;
  private final Object lock = new Object();

  // guarded by lock
  private int open;
  private boolean ended;
  private @Nullable String obstacle;

  private final long[] prefillDone;
  private final long[] prefillTotal;

  private RequestGenerations(int choices, int capacity) {
    this.capacity = capacity;
    this.sink = Sinks.many().unicast().onBackpressureBuffer(new ArrayBlockingQueue<>(capacity));
    this.open = choices;
    this.prefillDone = new long[choices];
    this.prefillTotal = new long[choices];
  }

  /**
   * Submits every request, or none.
   *
   * @param capacity events that may wait for the reader
   * @param observer is told of the same events
   * @throws EngineBusyException if the queue has no room for all of them
   * @throws EngineDrainingException if the engine takes no new requests
   */
  public static RequestGenerations submit(
      InferenceEngine engine,
      List<GenerationRequest> requests,
      int capacity,
      GenerationObserver observer) {
    RequestGenerations all = new RequestGenerations(requests.size(), capacity);
    List<Submission> submissions = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      submissions.add(new Submission(requests.get(i), all.new Listener(i, observer)));
    }
    List<Generation> submitted = engine.submit(submissions);
    synchronized (all.lock) {
      all.generations.addAll(submitted);
    }
    if (all.endedEarly()) {
      // A choice failed before the others could be cancelled with it.
      all.cancel();
    }
    return all;
  }

  /**
   * The events, to be read once. Ends after the last choice has finished, or with the first error:
   * {@link GenerationException} of the engine, {@link SlowReaderException}, or {@link
   * EngineDrainingException} when the engine closed before the end. Cancelling it cancels the
   * generations.
   */
  public Flux<GenerationEvent> events() {
    return sink.asFlux().doOnCancel(this::cancel);
  }

  /** Share of the prefill that is done over all choices, in [0, 1]. */
  public double prefillProgress() {
    synchronized (lock) {
      long done = 0;
      long total = 0;
      for (int i = 0; i < prefillDone.length; i++) {
        done += prefillDone[i];
        total += prefillTotal[i];
      }
      return total == 0 ? 0 : (double) done / total;
    }
  }

  /** Why the next of them has not begun although a seat is free, or null. */
  public @Nullable String obstacle() {
    synchronized (lock) {
      return obstacle;
    }
  }

  /** Ends all generations; nothing more is reported. No effect on those that have finished. */
  public void cancel() {
    List<Generation> all;
    synchronized (lock) {
      ended = true;
      all = List.copyOf(generations);
    }
    // Not under the lock: the engine may hold its own while it tells the listener.
    all.forEach(Generation::cancel);
  }

  private final class Listener implements GenerationListener {
    private final int choice;
    private final GenerationObserver observer;

    Listener(int choice, GenerationObserver observer) {
      this.choice = choice;
      this.observer = observer;
    }

    @Override
    public void onWait(String reason) {
      synchronized (lock) {
        obstacle = reason;
      }
    }

    @Override
    public void onPrefill(long done, long total) {
      synchronized (lock) {
        obstacle = null;
        prefillDone[choice] = done;
        prefillTotal[choice] = total;
      }
    }

    @Override
    public void onToken(GeneratedToken token) {
      observer.token(choice);
      emit(new GenerationEvent.Token(choice, token));
    }

    @Override
    public void onFinish(Finish finish) {
      observer.finished(choice, finish);
      if (finish.reason() == FinishReason.CANCELLED) {
        fail(
            new EngineDrainingException(
                "the server shut down before the answer was complete; ask again"));
        return;
      }
      emit(new GenerationEvent.Finished(choice, finish));
      synchronized (lock) {
        open--;
        if (open > 0 || ended) {
          return;
        }
        ended = true;
        sink.tryEmitComplete();
      }
    }

    @Override
    public void onError(GenerationException error, GenerationUsage took) {
      observer.failed(choice, error, took);
      fail(error);
    }
  }

  private void emit(GenerationEvent event) {
    boolean full;
    synchronized (lock) {
      if (ended) {
        return;
      }
      Sinks.EmitResult result = sink.tryEmitNext(event);
      // A queue that is full before anybody reads has a name of its own; both have lost the event.
      full =
          result == Sinks.EmitResult.FAIL_OVERFLOW
              || result == Sinks.EmitResult.FAIL_ZERO_SUBSCRIBER;
    }
    if (full) {
      fail(
          new SlowReaderException(
              "the client did not read %d events of its stream in time; the generation was cancelled"
                  .formatted(capacity)));
    }
  }

  private void fail(RuntimeException error) {
    synchronized (lock) {
      if (ended) {
        return;
      }
      ended = true;
      sink.tryEmitError(error);
    }
    cancel();
  }

  private boolean endedEarly() {
    synchronized (lock) {
      return ended && open > 0;
    }
  }
}

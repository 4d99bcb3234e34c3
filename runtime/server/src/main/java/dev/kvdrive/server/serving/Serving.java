package dev.kvdrive.server.serving;

import dev.kvdrive.schedule.EngineStatus;
import dev.kvdrive.server.openai.ApiException;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** In which part of its life the runtime is. The one owner of that state; thread-safe. */
public final class Serving {
  private static final Duration RETRY_WHILE_STARTING = Duration.ofSeconds(5);

  /** A part of the runtime's life. */
  public sealed interface State {
    /** One word for health answers. */
    String word();

    /** What is going on, for a person. */
    String detail();

    /** Before the model answers. */
    record Starting(String detail) implements State {
      @Override
      public String word() {
        return "starting";
      }
    }

    /** The model answers. */
    record Ready(ServedModel model) implements State {
      @Override
      public String word() {
        return "ready";
      }

      @Override
      public String detail() {
        return "serving " + model.name();
      }
    }

    /** The model answers what needs nothing that is broken; requests had better go elsewhere. */
    record Degraded(String detail) implements State {
      @Override
      public String word() {
        return "degraded";
      }
    }

    /**
     * No new requests; the running ones finish.
     *
     * @param model still answers who had its connection before; null if nobody is answered any more
     */
    record Draining(@Nullable ServedModel model) implements State {
      @Override
      public String word() {
        return "draining";
      }

      @Override
      public String detail() {
        return "shutting down, running requests finish";
      }
    }

    /** It will never answer; the process ends. */
    record Failed(String detail) implements State {
      @Override
      public String word() {
        return "failed";
      }
    }
  }

  private State state = new State.Starting("starting");

  public synchronized State state() {
    return state;
  }

  /** {@link #state()}, but a ready model whose engine is not well is degraded, or has failed. */
  public State health() {
    State seen = state();
    if (!(seen instanceof State.Ready ready)) {
      return seen;
    }
    EngineStatus engine = ready.model().engine().status();
    if (engine.failure() != null) {
      return new State.Failed(StartFailure.ofEngine(engine.failure()));
    }
    return engine.nvmeFailure() == null ? seen : new State.Degraded(engine.nvmeFailure());
  }

  /** Why the longest request has to wait, although the model is ready; if it has to. */
  public Optional<String> shortage() {
    return state() instanceof State.Ready ready
        ? Optional.ofNullable(ready.model().engine().status().nvmeWritten().shortage())
        : Optional.empty();
  }

  /** The step that the start has reached. */
  public synchronized void starting(String detail) {
    if (state instanceof State.Starting) {
      state = new State.Starting(detail);
    }
  }

  /**
   * The model answers from now on.
   *
   * @return false if the runtime is already shutting down
   */
  public synchronized boolean ready(ServedModel model) {
    if (!(state instanceof State.Starting)) {
      return false;
    }
    state = new State.Ready(model);
    return true;
  }

  /** The start failed. */
  public synchronized void failed(String reason) {
    state = new State.Failed(reason);
  }

  /** Not ready from now on, but the model, if there is one, still answers who is connected. */
  public synchronized void leave() {
    state = new State.Draining(state instanceof State.Ready ready ? ready.model() : null);
  }

  /** No new requests from now on; returns the model whose requests are to finish, if any. */
  public synchronized Optional<ServedModel> drain() {
    State before = state;
    state = new State.Draining(null);
    return switch (before) {
      case State.Ready ready -> Optional.of(ready.model());
      case State.Draining draining -> Optional.ofNullable(draining.model());
      default -> Optional.empty();
    };
  }

  /**
   * The model, if it answers.
   *
   * @throws ApiException 503 that says why not
   */
  public ServedModel model() {
    return switch (state()) {
      case State.Ready ready -> well(ready.model());
      case State.Starting starting ->
          throw ApiException.unavailable(
              "not_ready",
              "The model is not ready yet: " + starting.detail(),
              RETRY_WHILE_STARTING);
      case State.Draining(ServedModel model) when model != null -> well(model);
      case State.Draining draining -> throw ApiException.shuttingDown();
      case State.Degraded degraded -> throw new IllegalStateException(degraded.detail());
      case State.Failed failed ->
          throw ApiException.unavailable(
              "start_failed",
              "The runtime could not start: " + failed.detail(),
              RETRY_WHILE_STARTING);
    };
  }

  private static ServedModel well(ServedModel model) {
    String failure = model.engine().status().failure();
    if (failure != null) {
      throw ApiException.unavailable(
          "engine_failed", "The engine stopped: " + failure, RETRY_WHILE_STARTING);
    }
    return model;
  }
}

package dev.kvdrive.server.metrics;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.server.generation.GenerationObserver;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/** Times and counts of generations, as users of the API see them. Thread-safe. */
public final class ServingMetrics {
  private static final Duration[] LONG_TIMES =
      millis(10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000);
  private static final Duration[] TOKEN_TIMES =
      millis(1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, 2500);

  private final MeterRegistry registry;
  private final Exemplars exemplars;
  private final Timer firstToken;
  private final Timer betweenTokens;
  private final Timer queue;
  private final Timer prefill;
  private final Timer whole;

  /**
   * @param exemplars that the registry asks of which trace a time is
   */
  public ServingMetrics(MeterRegistry registry, Exemplars exemplars) {
    this.registry = registry;
    this.exemplars = exemplars;
    firstToken =
        timer("time_to_first_token", "From the request's arrival to its first token.", LONG_TIMES);
    betweenTokens =
        timer("inter_token_latency", "Between two tokens of a generation.", TOKEN_TIMES);
    queue = timer("queue_time", "Wait of a generation for a seat.", LONG_TIMES);
    prefill = timer("prefill_time", "From the first work to the first token.", LONG_TIMES);
    whole =
        timer(
            "generation_duration",
            "From the request's arrival to the end of a generation.",
            LONG_TIMES);
    for (String outcome : List.of("stop", "length", "cancelled", "error")) {
      outcome(outcome);
    }
    refusals(429, "bodies_full");
    refusals(429, "engine_overloaded");
  }

  /**
   * Measures the generations of one request.
   *
   * @param arrivalNanos {@link System#nanoTime} when the HTTP request arrived
   * @param trace of the request; null if it is not traced
   */
  public GenerationObserver observer(
      List<GenerationRequest> generations, long arrivalNanos, Exemplars.@Nullable Trace trace) {
    long[] last = new long[generations.size()];
    return new GenerationObserver() {
      @Override
      public void token(int choice) {
        long now = System.nanoTime();
        if (last[choice] == 0) {
          record(firstToken, now - arrivalNanos, trace);
        } else {
          record(betweenTokens, now - last[choice], trace);
        }
        last[choice] = now;
      }

      @Override
      public void finished(int choice, Finish finish) {
        // A cancelled generation took the time of its client's patience, which says nothing of
        // ours.
        if (finish.reason() != FinishReason.CANCELLED) {
          record(whole, System.nanoTime() - arrivalNanos, trace);
          record(queue, finish.usage().queueNanos(), trace);
          record(prefill, finish.usage().prefillNanos(), trace);
        }
        outcome(finish.reason().name().toLowerCase(Locale.ROOT)).increment();
      }

      @Override
      public void failed(int choice, GenerationException error, GenerationUsage took) {
        outcome("error").increment();
      }
    };
  }

  private void record(Timer timer, long nanos, Exemplars.@Nullable Trace trace) {
    if (trace == null) {
      timer.record(nanos, TimeUnit.NANOSECONDS); // for each token, on the engine's thread
    } else {
      exemplars.of(trace, () -> timer.record(nanos, TimeUnit.NANOSECONDS));
    }
  }

  /**
   * A request was answered with an error.
   *
   * @param reason one of a fixed set of words
   */
  public void refused(int status, String reason) {
    refusals(status, reason).increment();
  }

  private Counter refusals(int status, String reason) {
    return Counter.builder("kvdrive.requests.refused")
        .description("Requests answered with an error, by status and reason.")
        .tag("status", Integer.toString(status))
        .tag("reason", reason)
        .register(registry);
  }

  /** What is watched of bodies and connections. */
  public void watch(String name, String description, Supplier<Number> value) {
    Gauge.builder("kvdrive." + name, value).description(description).register(registry);
  }

  /**
   * What is counted elsewhere.
   *
   * @param owner of the count, who must be kept by somebody
   */
  public <T> void count(String name, String description, T owner, ToDoubleFunction<T> value) {
    FunctionCounter.builder("kvdrive." + name, owner, value)
        .description(description)
        .register(registry);
  }

  private Counter outcome(String outcome) {
    return Counter.builder("kvdrive.generations")
        .description("Generations that ended, by how.")
        .tag("outcome", outcome)
        .register(registry);
  }

  private Timer timer(String name, String description, Duration[] buckets) {
    return Timer.builder("kvdrive." + name)
        .description(description)
        .serviceLevelObjectives(buckets)
        .register(registry);
  }

  private static Duration[] millis(long... millis) {
    return Arrays.stream(millis).mapToObj(Duration::ofMillis).toArray(Duration[]::new);
  }
}

package dev.kvdrive.server.metrics;

import dev.kvdrive.server.access.ApiKeys;
import dev.kvdrive.server.access.Caller;
import dev.kvdrive.server.access.Caller.Limit;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * What every key has used, by its name and never by the key. There are as many series as names in
 * the file; those of a name go with it. Thread-safe as its caller is: one call at a time.
 */
public final class KeyMetrics implements ApiKeys.Listener {
  private final MeterRegistry registry;
  private final Map<String, List<Meter>> meters = new HashMap<>();

  public KeyMetrics(MeterRegistry registry) {
    this.registry = registry;
  }

  @Override
  public void added(Caller caller) {
    List<Meter> own = new ArrayList<>();
    own.add(
        Gauge.builder("kvdrive.key.requests.running", caller, Caller::running)
            .description("Requests of a key that are worked on.")
            .tag("key", caller.name())
            .register(registry));
    own.add(counter(caller, "requests", "Requests of a key that were admitted.", Caller::admitted));
    own.add(
        counter(
            caller,
            "prompt.tokens",
            "Prompt tokens that a key was charged with.",
            Caller::promptTokens));
    own.add(
        counter(
            caller,
            "completion.tokens",
            "Generated tokens that a key was charged with.",
            Caller::completionTokens));
    for (Limit limit : Limit.values()) {
      own.add(
          FunctionCounter.builder(
                  "kvdrive.key.requests.refused", caller, counted -> counted.refused(limit))
              .description("Requests that a limit of their key refused, by the limit.")
              .tag("key", caller.name())
              .tag("reason", limit.word())
              .register(registry));
    }
    meters.put(caller.name(), own);
  }

  private Meter counter(
      Caller caller, String name, String description, ToDoubleFunction<Caller> value) {
    return FunctionCounter.builder("kvdrive.key." + name, caller, value)
        .description(description)
        .tag("key", caller.name())
        .register(registry);
  }

  @Override
  public void removed(Caller caller) {
    List<Meter> own = meters.remove(caller.name());
    if (own != null) {
      own.forEach(registry::remove);
    }
  }
}

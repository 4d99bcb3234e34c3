package dev.kvdrive.server.metrics;

import dev.kvdrive.server.gpu.GpuFacts;
import dev.kvdrive.server.gpu.Gpus.Gpu;
import dev.kvdrive.server.gpu.ThrottleReason;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Function;

/**
 * Facts of the cards, whoever uses them. What a card does not tell when it is first asked has no
 * series; what it tells no more is NaN.
 */
public final class GpuMetrics {
  private final MeterRegistry registry;

  public GpuMetrics(MeterRegistry registry) {
    this.registry = registry;
  }

  /** Adds the series of a card. */
  public void watch(Gpu gpu) {
    Tags tags =
        Tags.of("gpu", Integer.toString(gpu.index()), "uuid", gpu.uuid(), "product", gpu.product());
    whole(
        "memory.used.bytes",
        "Memory of a card in use by all processes and the driver.",
        gpu,
        tags,
        GpuFacts::memoryUsedBytes);
    whole("memory.bytes", "Memory of a card.", gpu, tags, GpuFacts::memoryBytes);
    gauge("busy", "Share of the time in which a kernel ran.", gpu, tags, GpuFacts::busy);
    gauge(
        "memory.busy",
        "Share of the time in which memory of a card was read or written.",
        gpu,
        tags,
        GpuFacts::memoryBusy);
    errors("corrected", gpu, tags, GpuFacts::correctedErrors);
    errors("uncorrected", gpu, tags, GpuFacts::uncorrectedErrors);
    for (ThrottleReason reason : ThrottleReason.values()) {
      gauge(
          "throttled",
          "1 while a card is slower than it could be, by why.",
          gpu,
          tags.and("reason", reason.word()),
          facts ->
              facts.throttled().isEmpty()
                  ? OptionalDouble.empty()
                  : OptionalDouble.of(reason.isIn(facts.throttled().getAsLong()) ? 1 : 0));
    }
    whole("temperature.celsius", "Temperature of a card.", gpu, tags, GpuFacts::celsius);
    gauge("power.watts", "Power that a card draws.", gpu, tags, GpuFacts::watts);
  }

  private void errors(String kind, Gpu gpu, Tags tags, Function<GpuFacts, OptionalLong> value) {
    if (value.apply(gpu.facts()).isPresent()) {
      FunctionCounter.builder(
              "kvdrive.gpu.ecc.errors", gpu, one -> number(value.apply(one.facts())))
          .description("Memory errors of a card since its driver was loaded.")
          .tags(tags.and("kind", kind))
          .register(registry);
    }
  }

  private void whole(
      String name, String description, Gpu gpu, Tags tags, Function<GpuFacts, OptionalLong> value) {
    gauge(
        name,
        description,
        gpu,
        tags,
        facts -> {
          OptionalLong told = value.apply(facts);
          return told.isEmpty() ? OptionalDouble.empty() : OptionalDouble.of(number(told));
        });
  }

  private void gauge(
      String name,
      String description,
      Gpu gpu,
      Tags tags,
      Function<GpuFacts, OptionalDouble> value) {
    if (value.apply(gpu.facts()).isPresent()) {
      Gauge.builder("kvdrive.gpu." + name, gpu, one -> value.apply(one.facts()).orElse(Double.NaN))
          .description(description)
          .tags(tags)
          .strongReference(true)
          .register(registry);
    }
  }

  private static double number(OptionalLong told) {
    return told.isPresent() ? told.getAsLong() : Double.NaN;
  }
}

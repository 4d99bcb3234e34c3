package dev.kvdrive.server.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.server.generation.GenerationObserver;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ServingMetricsTest {
  private final SimpleMeterRegistry registry = new SimpleMeterRegistry();
  private final ServingMetrics metrics = new ServingMetrics(registry, new Exemplars());

  private GenerationObserver observer() {
    return metrics.observer(
        List.of(
            new GenerationRequest(
                "r", List.of(1), Sampling.GREEDY, 10, Set.of(), List.of(), -1, true)),
        System.nanoTime(),
        null);
  }

  private static Finish finish(FinishReason reason) {
    return new Finish(
        reason,
        "",
        new GenerationUsage(
            1, 0, 3, 30, 60, 9, 2, 1, 4, 2, 0, 0, 0, 1, 2, 3, 0, 0, 0, Accuracy.NONE));
  }

  private long samples(String timer) {
    return registry.get("kvdrive." + timer).timer().count();
  }

  @ParameterizedTest
  @EnumSource(
      value = FinishReason.class,
      names = {"STOP", "LENGTH"})
  void aGenerationThatEndsByItselfIsMeasured(FinishReason reason) {
    observer().finished(0, finish(reason));
    assertThat(samples("generation_duration")).isEqualTo(1);
    assertThat(samples("queue_time")).isEqualTo(1);
    assertThat(samples("prefill_time")).isEqualTo(1);
  }

  @Test
  void aCancelledGenerationIsCountedAndNotMeasured() {
    observer().finished(0, finish(FinishReason.CANCELLED));
    assertThat(samples("generation_duration")).isZero();
    assertThat(samples("queue_time")).isZero();
    assertThat(samples("prefill_time")).isZero();
    assertThat(registry.get("kvdrive.generations").tag("outcome", "cancelled").counter().count())
        .isEqualTo(1);
  }

  @Test
  void errorsAreCountedByStatusAndReason() {
    metrics.refused(429, "bodies_full");
    metrics.refused(429, "bodies_full");
    metrics.refused(413, "request_too_large");
    assertThat(
            registry
                .get("kvdrive.requests.refused")
                .tags("status", "429", "reason", "bodies_full")
                .counter()
                .count())
        .isEqualTo(2);
  }
}

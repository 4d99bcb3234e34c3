package dev.kvdrive.server.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.server.gpu.FakeNvml;
import dev.kvdrive.server.gpu.Gpus;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What cards tell, by a library of NVIDIA's functions that the test compiles. */
class GpuMetricsTest {
  private static final String FIRST = "{gpu=\"0\",product=\"NVIDIA H200\",";
  private static final String OF_FIRST = FIRST + "uuid=\"GPU-0\"} ";

  @TempDir Path folder;
  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);

  private Gpus watched(FakeNvml library, Duration interval) {
    Gpus gpus = library.gpus(interval);
    GpuMetrics metrics = new GpuMetrics(registry);
    gpus.cards().forEach(metrics::watch);
    return gpus;
  }

  @Test
  void aCardTellsItsMemoryItsWorkItsErrorsAndWhyItIsSlow() throws Exception {
    try (Gpus _ = watched(FakeNvml.compile(folder), Duration.ofDays(1))) {
      assertThat(registry.scrape())
          .contains(
              "kvdrive_gpu_memory_bytes" + OF_FIRST + "1.5E11\n",
              "kvdrive_gpu_memory_used_bytes" + OF_FIRST + "4.0E10\n",
              "kvdrive_gpu_busy" + OF_FIRST + "0.87\n",
              "kvdrive_gpu_memory_busy" + OF_FIRST + "0.45\n",
              "kvdrive_gpu_ecc_errors_total{gpu=\"0\",kind=\"corrected\",product=\"NVIDIA H200\",uuid=\"GPU-0\"} 3.0\n",
              "kvdrive_gpu_ecc_errors_total{gpu=\"0\",kind=\"uncorrected\",product=\"NVIDIA H200\",uuid=\"GPU-0\"} 1.0\n",
              "kvdrive_gpu_throttled" + FIRST + "reason=\"power_cap\",uuid=\"GPU-0\"} 1.0\n",
              "kvdrive_gpu_throttled" + FIRST + "reason=\"thermal\",uuid=\"GPU-0\"} 1.0\n",
              "kvdrive_gpu_throttled" + FIRST + "reason=\"power_brake\",uuid=\"GPU-0\"} 0.0\n",
              "kvdrive_gpu_temperature_celsius" + OF_FIRST + "71.0\n",
              "kvdrive_gpu_power_watts" + OF_FIRST + "412.5\n");
    }
  }

  @Test
  void whatACardDoesNotTellHasNoSeries() throws Exception {
    try (Gpus _ = watched(FakeNvml.compile(folder), Duration.ofDays(1))) {
      assertThat(
              registry
                  .scrape()
                  .lines()
                  .filter(line -> line.contains("GPU-1"))
                  .map(line -> line.replaceFirst("\\{.*", "")))
          .containsExactlyInAnyOrder("kvdrive_gpu_memory_bytes", "kvdrive_gpu_memory_used_bytes");
    }
  }

  @Test
  void cardsAreAskedAgainAndThoseThatAreLostTellNothing() throws Throwable {
    FakeNvml library = FakeNvml.compile(folder);
    try (Gpus gpus = watched(library, Duration.ofMillis(1))) {
      library.corrected(9);
      Awaitility.await()
          .until(() -> gpus.cards().getFirst().facts().correctedErrors().orElse(0) == 9);
      library.lose();
      Awaitility.await()
          .until(() -> registry.scrape().contains("kvdrive_gpu_power_watts" + OF_FIRST + "NaN"));
    }
    assertThat(library.ends()).isEqualTo(1);
  }

  @Test
  void withoutCardsThereIsNothing() {
    try (Gpus gpus = Gpus.none()) {
      assertThat(gpus.cards()).isEmpty();
    }
  }

  @Test
  void withoutTheLibraryThereIsNothing() {
    try (Gpus gpus = FakeNvml.missing(folder)) {
      assertThat(gpus.cards()).isEmpty();
    }
  }

  @Test
  void everyMetricIsDocumentedAndThere() throws Exception {
    try (Gpus _ = watched(FakeNvml.compile(folder), Duration.ofDays(1))) {
      assertThat(names("^# TYPE (\\S+) ", registry.scrape())).isEqualTo(documented());
    }
  }

  private static Set<String> documented() throws IOException {
    return names(
        "^\\| `([^`]+)`",
        Files.readString(Path.of("../../docs/metrics.md"))
            .split("\n## GPUs\n", 2)[1]
            .split("\n## ", 2)[0]);
  }

  private static Set<String> names(String pattern, String text) {
    return Pattern.compile(pattern, Pattern.MULTILINE)
        .matcher(text)
        .results()
        .map(found -> found.group(1))
        .collect(Collectors.toCollection(TreeSet::new));
  }
}

package dev.kvdrive.server.tracing;

import static org.assertj.core.api.Assertions.assertThat;

import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class CollectorExporterTest {
  /** A collector that answers when the test lets it. */
  private static final class Held implements SpanExporter {
    final List<CompletableResultCode> asked = new ArrayList<>();

    @Override
    public CompletableResultCode export(Collection<SpanData> spans) {
      CompletableResultCode answer = new CompletableResultCode();
      asked.add(answer);
      return answer;
    }

    @Override
    public CompletableResultCode flush() {
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode shutdown() {
      return CompletableResultCode.ofSuccess();
    }
  }

  private final Held collector = new Held();

  private CollectorExporter exporter(Duration last) {
    CollectorExporter exporter =
        new CollectorExporter(collector, "http://collector:4318", System::nanoTime, last);
    exporter.start();
    return exporter;
  }

  @Test
  void tellsWhatTheCollectorSays() {
    CollectorExporter exporter = exporter(Duration.ofHours(1));
    CompletableResultCode first = exporter.export(List.of());
    CompletableResultCode second = exporter.export(List.of());
    assertThat(first.isDone()).isFalse();
    collector.asked.get(0).succeed();
    collector.asked.get(1).fail();
    assertThat(first.isSuccess()).isTrue();
    assertThat(second.isDone()).isTrue();
    assertThat(second.isSuccess()).isFalse();
  }

  @Test
  void aSilentCollectorIsWaitedForAWhileAtTheEndAndThenNoMore() {
    CollectorExporter exporter = exporter(Duration.ofMillis(1));
    CompletableResultCode underway = exporter.export(List.of());
    exporter.stop();
    assertThat(underway.join(1, TimeUnit.MINUTES).isDone()).isTrue();
    assertThat(underway.isSuccess()).isFalse();
    // What waits still is not even sent.
    CompletableResultCode late = exporter.export(List.of());
    assertThat(late.isDone()).isTrue();
    assertThat(late.isSuccess()).isFalse();
    assertThat(collector.asked).hasSize(1);
    // And an answer that comes now does no harm.
    collector.asked.getFirst().succeed();
  }

  @Test
  void whatArrivesInThatWhileHasArrived() {
    CollectorExporter exporter = exporter(Duration.ofHours(1));
    CompletableResultCode underway = exporter.export(List.of());
    exporter.stop();
    CompletableResultCode last = exporter.export(List.of());
    collector.asked.forEach(CompletableResultCode::succeed);
    assertThat(List.of(underway, last)).allMatch(CompletableResultCode::isSuccess);
  }
}

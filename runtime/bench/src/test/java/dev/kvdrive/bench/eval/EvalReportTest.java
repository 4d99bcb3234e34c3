package dev.kvdrive.bench.eval;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.text.ChatMessage;
import java.util.List;
import java.util.Objects;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.Test;

class EvalReportTest {
  private static EvalResult result(String task, double score, long attended, long hits) {
    return new EvalResult(
        new EvalTask(task, 512, List.of(ChatMessage.of("user", "?")), List.of("a"), 8),
        1,
        "text",
        score,
        new GenerationUsage(
            1000, 11, attended, 1000, hits, 60, 40, 0, 0, 0, 2_000_000_000L, 500_000_000L));
  }

  private final EvalReport report = new EvalReport();

  private EvalReport.Column column(String name) {
    return Objects.requireNonNull(report.columns().get(name));
  }

  @Test
  void aTaskIsTheMeanOfItsSamplesAndAColumnTheMeanOfItsTasks() {
    report.add(
        "exact",
        18,
        List.of(result("a", 1, 1000, 0), result("a", 0, 1000, 0), result("b", 1, 1000, 0)));
    EvalReport.Column column = column("exact");
    assertThat(column.scores()).containsEntry("a", 50.0).containsEntry("b", 100.0);
    assertThat(column.mean()).isEqualTo(75);
    assertThat(column.samples()).isEqualTo(3);
  }

  @Test
  void sharesAndRatesAreOverAllSamples() {
    report.add("6.25 %", 18, List.of(result("a", 1, 100, 900), result("a", 1, 300, 100)));
    EvalReport.Column column = column("6.25 %");
    assertThat(column.attended()).isEqualTo(0.2);
    assertThat(column.hitRate()).isCloseTo(1000 / 1200.0, Assertions.within(1e-12));
    assertThat(column.prefillPerSecond()).isEqualTo(500);
    assertThat(column.decodePerSecond()).isEqualTo(20);
  }

  @Test
  void theTableHasAColumnForEachBudgetAndADashWhereATaskWasNotRun() {
    report.add("exact", 18, List.of(result("a", 1, 1000, 0), result("bb", 0.5, 1000, 0)));
    report.add("6.25 %", 18, List.of(result("a", 0.875, 65, 100)));
    assertThat(report.markdown())
        .isEqualTo(
            """
            | task           |    exact |   6.25 % |
            |----------------|---------:|---------:|
            | a              |    100.0 |     87.5 |
            | bb             |     50.0 |        - |
            | **mean**       | **75.0** | **87.5** |
            | samples        |        2 |        1 |
            | attended       |  100.0 % |    6.5 % |
            | hit rate       |    0.0 % |   50.0 % |
            | index, B/token |     18.0 |     18.0 |
            """);
  }
}

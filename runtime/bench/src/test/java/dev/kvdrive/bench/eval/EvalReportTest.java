package dev.kvdrive.bench.eval;

import static dev.kvdrive.bench.eval.Columns.column;
import static dev.kvdrive.bench.eval.Columns.sample;
import static dev.kvdrive.bench.eval.Columns.samples;
import static dev.kvdrive.bench.eval.Columns.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class EvalReportTest {
  private final EvalReport report = new EvalReport();

  private static List<EvalSample> both(List<EvalSample> some, List<EvalSample> more) {
    List<EvalSample> all = new ArrayList<>(some);
    all.addAll(more);
    return all;
  }

  @Test
  void aTaskIsTheMeanOfItsSamplesAndAColumnTheMeanOfItsTasks() {
    report.add(column(settings("kvdrive", 1, 512), both(samples("a", 1, 0), samples("b", 1))));
    EvalReport.Row row = report.rows().getFirst();
    assertThat(row.scores().get("a")).extracting(Score::mean).isEqualTo(50.0);
    assertThat(row.scores().get("b")).isEqualTo(new Score(100, null));
    assertThat(row.mean().mean()).isEqualTo(75);
    assertThat(row.column().samples()).hasSize(3);
  }

  @Test
  void sharesAndRatesAreOverAllSamples() {
    report.add(
        column(
            settings("kvdrive", 0.0625, 512),
            List.of(sample("a", 1, 1, 100, 900), sample("a", 2, 1, 300, 100))));
    EvalColumn.Taken taken = report.columns().getFirst().taken();
    assertThat(taken.attended()).isEqualTo(0.2);
    assertThat(taken.hitRate()).isCloseTo(1000 / 1200.0, within(1e-12));
    assertThat(taken.prefillPerSecond()).isEqualTo(500);
    assertThat(taken.decodePerSecond()).isEqualTo(20);
  }

  @Test
  void aSparseColumnIsComparedWithExactAnswersToTheSameSamplesOnly() {
    report.add(column(settings("full", 1, 512), samples("a", 1, 0, 1)));
    report.add(column(settings("quest", 0.25, 512), samples("a", 1, 1, 0, 0)));
    report.add(column(settings("full", 1, 1024), samples("a", 0, 0, 0, 0)));
    EvalReport.Row quest = report.rows().get(1);
    // 0, +100, -100; the fourth sample nobody has answered exactly with 512 tokens.
    assertThat(quest.paired()).isEqualTo(3);
    assertThat(Objects.requireNonNull(quest.against()).mean()).isZero();
    assertThat(Objects.requireNonNull(quest.against().interval()).low()).isEqualTo(-100);
    assertThat(report.rows().getFirst().against()).isNull();
  }

  @Test
  void exactAnswersOfTheSameDeviceAndOfKeysThatAreNotRoundedGoFirst() {
    EvalSettings exact = settings("full", 1, 512);
    EvalSettings elsewhere =
        new EvalSettings(
            "tiny", "0123", "full", "x", 1, 0, 512, "CUDA", "BF16", "BF16", "BF16", "", null);
    EvalSettings rounded =
        new EvalSettings(
            "tiny", "0123", "full", "x", 1, 0, 512, "CPU", "BF16", "INT8", "INT8", "", null);
    EvalSettings other =
        new EvalSettings(
            "large", "4567", "full", "x", 1, 0, 512, "CPU", "BF16", "BF16", "BF16", "", null);
    report.add(column(elsewhere, samples("a", 0, 0, 0.2)));
    report.add(column(rounded, samples("a", 0, 0.5)));
    report.add(column(exact, samples("a", 1)));
    report.add(column(other, samples("a", 0, 0, 0, 0)));
    report.add(column(settings("quest", 0.25, 512), samples("a", 1, 1, 1, 1)));
    Score against = Objects.requireNonNull(report.rows().getLast().against());
    assertThat(against.mean()).isCloseTo((0 + 50 + 80) / 3.0, within(1e-9));
  }

  @Test
  void runsWithTheSameSettingsAreOneColumnWhateverTheirOrder() {
    EvalSettings same = settings("kvdrive", 0.25, 512);
    List<EvalSample> all = samples("a", 1, 0, 1, 1, 0);
    EvalReport other = new EvalReport();
    assertThat(report.add(column(same, all.subList(0, 3)))).isZero();
    assertThat(report.add(column(same, all.subList(2, 5)))).isZero();
    other.add(column(same, all.subList(2, 5)));
    other.add(column(same, all.subList(0, 3)));
    assertThat(report.columns()).hasSize(1);
    assertThat(report.columns().getFirst().samples()).containsExactlyElementsOf(all);
    assertThat(report.rows()).isEqualTo(other.rows());
  }

  @Test
  void ofTwoScoresOfOneSampleTheFirstCountsAndItIsTold() {
    EvalSettings same = settings("kvdrive", 0.25, 512);
    report.add(column(same, samples("a", 1)));
    assertThat(report.add(column(same, samples("a", 0, 1)))).isEqualTo(1);
    assertThat(report.columns().getFirst().samples()).isEqualTo(samples("a", 1, 1));
  }

  @Test
  void theTableHasAColumnForEachBudgetAndADashWhereATaskWasNotRun() {
    report.add(
        column(
            settings("kvdrive", 1, 512),
            List.of(sample("a", 0, 1, 1000, 0), sample("bb", 0, 0.5, 1000, 0))));
    report.add(column(settings("kvdrive", 0.0625, 512), List.of(sample("a", 0, 0.875, 65, 100))));
    assertThat(report.byTask())
        .isEqualTo(
            """
            | task           |                  exact |   6.25 % |
            |----------------|-----------------------:|---------:|
            | a              |                  100.0 |     87.5 |
            | bb             |                   50.0 |        - |
            | **mean**       | **75.0 [50.0, 100.0]** | **87.5** |
            | against exact  |                      - |    -12.5 |
            | samples        |                      2 |        1 |
            | attended       |                100.0 % |    6.5 % |
            | hit rate       |                      - |   50.0 % |
            | index, B/token |                   18.0 |     18.0 |
            """);
    assertThat(report.againstByTask()).contains("| a        |     -12.5 |").doesNotContain("bb");
  }

  @Test
  void columnsAreNamedByWhatTellsThemApart() {
    report.add(column(settings("full", 1, 8192), samples("a", 1)));
    report.add(column(settings("quest", 0.0625, 8192), samples("a", 1)));
    report.add(column(settings("quest", 0.0625, 16384), samples("a", 1)));
    assertThat(report.names())
        .containsExactly("full 8k exact", "quest 8k 6.25 %", "quest 16k 6.25 %");
  }

  @Test
  void formsAndDevicesAreInANameOnlyWhereItWouldBeAnothersElse() {
    EvalSettings rounded =
        new EvalSettings(
            "tiny",
            "0123",
            "quest",
            "quest-index",
            0.5,
            0,
            512,
            "CPU",
            "BF16",
            "BF16",
            "INT8",
            "",
            null);
    report.add(column(settings("full", 1, 512), samples("a", 1)));
    report.add(column(rounded, samples("a", 1)));
    assertThat(report.names()).containsExactly("full exact", "quest 50 %");
    report.add(column(settings("quest", 0.5, 512), samples("a", 1)));
    assertThat(report.names())
        .containsExactly("full exact BF16", "quest 50 % BF16 from INT8", "quest 50 % BF16");
  }

  @Test
  void theSummaryHasALineForEachColumnWithWhatItIsMeasuredWith() {
    report.add(column(settings("quest", 0.25, 1024), samples("a", 1, 0)));
    report.add(column(settings("full", 1, 1024), samples("a", 1, 1)));
    assertThat(report.summary().lines())
        .hasSize(4)
        .anySatisfy(
            line ->
                assertThat(line)
                    .contains("tiny", "1k", "quest-index", "25 %", "50.0 [0.0, 100.0]", "-50.0"));
  }
}

package dev.kvdrive.bench.matrix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.matrix.SpeedMatrix.Caps;
import dev.kvdrive.bench.matrix.SpeedMatrix.CellFigures;
import dev.kvdrive.bench.speed.Spread;
import dev.kvdrive.bench.speed.Stretch;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpeedMatrixTest {
  private static final Cell CELL = new Cell(8000, 1, Tiering.HALF);
  private static final Map<String, String> FACTS = Map.of("model", "tiny", "budget", "1.56 %");

  @TempDir private Path folder;

  /** Rounds of ten tokens at so many tokens a second each. */
  private static Figures figures(Variation variation, int... rates) {
    return figures(variation, null, rates);
  }

  private static Figures figures(Variation variation, @Nullable String failure, int... rates) {
    return new Figures(
        variation,
        2_000_000_000,
        Arrays.stream(rates)
            .mapToObj(rate -> new Stretch(10, 10_000_000_000L / rate, 75, 20, 5))
            .toList(),
        failure);
  }

  private static SpeedMatrix matrix(Cell cell, Figures... figures) {
    return new SpeedMatrix(
        FACTS, List.of(new CellFigures(cell, new Caps(1L << 30, 1L << 29, 0), List.of(figures))));
  }

  @Test
  void aRatioIsOfTheSameRoundSoThatAMachineThatSlowsDownChangesNone() {
    Figures base = figures(Variation.NONE, 100, 50, 20);
    Figures half = figures(Variation.QUEST, 50, 25, 10);
    assertThat(half.rate()).isEqualTo(new Spread(25, 10, 50));
    assertThat(half.against(base)).isEqualTo(new Spread(0.5, 0.5, 0.5));
  }

  @Test
  void aRoundThatOneOfThemDidNotReachIsNotCompared() {
    Figures base = figures(Variation.NONE, 100, 100, 100);
    assertThat(figures(Variation.QUEST, "killed", 50).against(base))
        .isEqualTo(new Spread(0.5, 0.5, 0.5));
    assertThat(figures(Variation.QUEST).against(base)).isNull();
  }

  @Test
  void aWholeAnswerIsThePromptAndTheTokensOfAllSequencesAtTheMedianRate() {
    assertThat(figures(Variation.NONE, 50, 100, 200).answerSeconds(128, 4))
        .isEqualTo(2 + 512 / 100.0);
  }

  @Test
  void hitsAreOfAllChunksThatWereSelectedAndMissesOfAToken() {
    Figures figures = figures(Variation.NONE, 50, 100);
    assertThat(figures.hitRate()).isEqualTo(0.75);
    assertThat(figures.dramChunks()).isEqualTo(2);
    assertThat(figures.nvmeChunks()).isEqualTo(0.5);
  }

  @Test
  void theTableHasRatesRatiosAndWholeAnswersAndSaysWhatIsMissing() {
    String table =
        MatrixReport.markdown(
            matrix(
                CELL,
                figures(Variation.NONE, 128, 64, 128),
                figures(Variation.EXACT, 32, 32, 32),
                figures(Variation.QUEST, "failed: no room")));
    assertThat(table)
        .startsWith("budget 1.56 %, model tiny.\n")
        .contains(
            "**8k, batch 1, half on NVMe**: 1.00 GiB GPU, 0.50 GiB DRAM, 0.00 GiB NVMe",
            "| kvdrive | 128.0 (64.0..128.0) | 1.00 (1.00..1.00) | 4000 | 3.00 s | 1.00 | 75.0 % | 2.0, 0.5 |",
            "| exact * | 32.0 (32.0..32.0) | 0.25 (0.25..0.50) | 4000 | 6.00 s | 0.50 |",
            "- 8k, batch 1, half on NVMe, quest: failed: no room")
        .doesNotContain("| quest |", "Attending everything");
  }

  @Test
  void attendingEverythingPaysUpToWhereItIsFirstSlower() {
    SpeedMatrix all =
        SpeedMatrix.merged(
            List.of(dense(2000, 50), dense(512, 110), dense(1000, 100), dense(4000, 120)));
    assertThat(all.denseUpTo()).as("4000 is noise").contains(1000);
    assertThat(MatrixReport.markdown(all)).contains("choosing up to 1,000 tokens");
    assertThat(SpeedMatrix.merged(List.of(dense(512, 90), dense(1000, 80))).denseUpTo())
        .contains(0);
    assertThat(dense(512, 110).denseUpTo()).isEmpty();
  }

  private static SpeedMatrix dense(int length, int rate) {
    return matrix(
        new Cell(length, 1, Tiering.DRAM),
        figures(Variation.NONE, 100),
        figures(Variation.DENSE, rate));
  }

  @Test
  void runsAreToldAsOneAndKeepTheirRatios() {
    SpeedMatrix nothing = matrix(CELL, figures(Variation.NONE, "not started in time"));
    SpeedMatrix first = matrix(CELL, figures(Variation.NONE, 100), figures(Variation.EXACT, 50));
    SpeedMatrix second = matrix(CELL, figures(Variation.NONE, 10), figures(Variation.QUEST, 20));
    SpeedMatrix all = SpeedMatrix.merged(List.of(nothing, first, second));
    assertThat(all.missing()).isEmpty();
    assertThat(MatrixReport.markdown(all)).contains("| 0.50 (0.50..0.50) |", "| 2.00 (2.00..2.00)");
    SpeedMatrix other = new SpeedMatrix(Map.of("model", "large"), List.of());
    assertThatThrownBy(() -> SpeedMatrix.merged(List.of(first, other)))
        .hasMessageContaining("only runs under the same conditions")
        .hasMessageContaining("large");
  }

  @Test
  void aFileIsReadAsItWasWritten() throws Exception {
    SpeedMatrix matrix =
        matrix(CELL, figures(Variation.NONE, 100, 90), figures(Variation.LENT, "why", 3));
    for (String name : List.of("matrix.json", "matrix.json.gz")) {
      Path file = folder.resolve(name);
      MatrixFile.write(file, matrix);
      assertThat(MatrixFile.read(file)).isEqualTo(matrix);
    }
    Path other = Files.writeString(folder.resolve("other.json"), "{\"rows\": []}");
    assertThatThrownBy(() -> MatrixFile.read(other))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("other.json is no file that ./kvdrive bench matrix --json");
  }

  @Test
  void theDrawingHasADotForEachRatioAndNoneForWhatAllAreComparedWith() {
    SpeedMatrix all =
        SpeedMatrix.merged(
            List.of(
                matrix(CELL, figures(Variation.NONE, 100), figures(Variation.EXACT, 50)),
                matrix(
                    new Cell(16_000, 4, Tiering.DRAM),
                    figures(Variation.NONE, 100),
                    figures(Variation.WARM_UP, 80, 90))));
    String svg = MatrixPlot.svg(all);
    assertThat(svg)
        .contains("8k tokens", "16k tokens", "half on NVMe, batch 1", "all in DRAM, batch 4")
        .contains("without warm-up", ">exact<")
        .doesNotContain(">kvdrive<");
    assertThat(svg.split("<circle", -1)).as("two lengths explained, two ratios").hasSize(5);
    assertThatThrownBy(() -> MatrixPlot.svg(matrix(CELL, figures(Variation.NONE, 1))))
        .hasMessageContaining("nothing to draw");
  }
}

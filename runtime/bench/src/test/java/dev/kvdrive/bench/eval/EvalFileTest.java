package dev.kvdrive.bench.eval;

import static dev.kvdrive.bench.eval.Columns.column;
import static dev.kvdrive.bench.eval.Columns.samples;
import static dev.kvdrive.bench.eval.Columns.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class EvalFileTest {
  @TempDir private Path folder;

  private static EvalReport report() {
    EvalReport report = new EvalReport();
    report.add(column(settings("full", 1, 1024), samples("a", 1, 1, 0)));
    report.add(column(settings("quest", 0.25, 1024), samples("a", 1, 0, 0)));
    return report;
  }

  @ParameterizedTest
  @ValueSource(strings = {"scores.json", "scores.json.gz"})
  void whatIsWrittenIsReadAgain(String name) {
    Path file = folder.resolve(name);
    EvalFile.write(file, Map.of("model", "tiny"), report());
    EvalReport again = new EvalReport();
    EvalFile.read(file).forEach(again::add);
    assertThat(again.rows()).isEqualTo(report().rows());
  }

  @Test
  void aFileOfAVersionThatCountedLessIsReadToo() throws Exception {
    Path file = folder.resolve("scores.json");
    EvalFile.write(file, Map.of(), report());
    Files.writeString(
        file, Files.readString(file).replaceAll("\"(dramMisses|denseBelow)\" : \\d+,", ""));
    assertThat(EvalFile.read(file))
        .isNotEmpty()
        .allSatisfy(c -> assertThat(c.samples().getFirst().usage().dramMisses()).isZero());
  }

  @Test
  void programsFindScoresWithTheirIntervalsUnderTheNamesOfTheColumns() throws Exception {
    Path file = folder.resolve("scores.json");
    EvalFile.write(file, Map.of("model", "tiny"), report());
    JsonNode quest = JsonMapper.shared().readTree(Files.readString(file)).at("/columns/quest 25 %");
    assertThat(quest.at("/againstExact").asDouble()).isBetween(-33.4, -33.3);
    assertThat(quest.at("/againstExactInterval/low").asDouble()).isEqualTo(-100);
    assertThat(quest.at("/intervals/a/high").asDouble()).isEqualTo(100);
  }

  @Test
  void aFileThatHasNoRunsIsNamed() throws Exception {
    Path file = Files.writeString(folder.resolve("other.json"), "{\"columns\": {}}");
    assertThatThrownBy(() -> EvalFile.read(file))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("other.json has no runs: it must be a file that ./kvdrive eval");
    Path broken = Files.writeString(folder.resolve("broken.json"), "{\"runs\": [{}]}");
    assertThatThrownBy(() -> EvalFile.read(broken))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("broken.json, run 1 is none");
    assertThatThrownBy(() -> EvalFile.read(folder.resolve("none.json")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("none.json: there is no such file or folder");
  }
}

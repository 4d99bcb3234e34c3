package dev.kvdrive.bench.speed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kvdrive.bench.model.RandomModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Small scripts stand for what may not be installed here. */
class LlamaCppTest {
  @TempDir private Path folder;

  private Map<String, String> path() {
    return Map.of("PATH", "/nonexistent::" + folder);
  }

  private void program(String name, String text) throws IOException {
    Path file = folder.resolve(name);
    Files.writeString(file, "#!/bin/sh\n" + text);
    assertThat(file.toFile().setExecutable(true)).isTrue();
  }

  private Probe start(Map<String, String> environment, Path model) {
    return LlamaCpp.find(environment).start(model, 100, 5, 2, folder.resolve("log"));
  }

  @Test
  void withoutItTheWayToItIsTold() {
    assertThatThrownBy(() -> LlamaCpp.find(path()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("neither llama-bench on the PATH")
        .hasMessageContaining("pip install llama-cpp-python");
    assertThatThrownBy(() -> LlamaCpp.find(Map.of(LlamaCpp.PYTHON, "/nonexistent/python3")))
        .hasMessageContaining("llama-cpp-python in /nonexistent/python3");
  }

  @Test
  void aPythonWithoutThePackageIsNone() throws IOException {
    program("python3", "exit 1");
    assertThatThrownBy(() -> LlamaCpp.find(path()))
        .hasMessageContaining("llama-cpp-python in " + folder.resolve("python3"));
  }

  @Test
  void itsBenchIsAskedForThePromptAndForTheAnswerBehindIt() throws Exception {
    program(
        "llama-bench",
        """
        echo "$@" >>"$(dirname "$0")/asked"
        case "$*" in
          *"-p 100 -n 0") echo '[{"avg_ns": 2000}]' ;;
          *"-p 0 -n 4 -d 100") echo '[{"avg_ns": 8000}]' ;;
          *) exit 3 ;;
        esac
        """);
    try (Probe probe = start(path(), Path.of("m.gguf"))) {
      assertThat(probe.description()).isEqualTo("llama-bench, 2 threads");
      SpeedRun run = probe.run();
      assertThat(run.promptTokens()).isEqualTo(100);
      assertThat(run.prefillNanos()).isEqualTo(2000);
      assertThat(run.decodeSteps()).isEqualTo(4);
      assertThat(run.decodeNanos()).isEqualTo(8000);
    }
    assertThat(Files.readAllLines(folder.resolve("asked")))
        .allMatch(line -> line.startsWith("-m m.gguf -t 2 -ngl 0 -r 1 -o json "));
  }

  @Test
  void aBenchThatFailsOrSaysSomethingElseIsTold() throws Exception {
    program("llama-bench", "echo no model >&2; exit 3");
    try (Probe probe = start(path(), Path.of("m.gguf"))) {
      assertThatThrownBy(probe::run)
          .isInstanceOf(UncheckedIOException.class)
          .hasMessageContaining("-m m.gguf")
          .hasMessageContaining("ended with 3; its log is " + folder.resolve("log"));
    }
    assertThat(folder.resolve("log")).hasContent("no model");
    program("llama-bench", "echo '[]'");
    try (Probe probe = start(path(), Path.of("m.gguf"))) {
      assertThatThrownBy(probe::run).hasMessageContaining("ended with 0");
    }
  }

  @Test
  void itsPythonPackageIsSpokenWith() throws Exception {
    program(
        "python3",
        """
        [ "$2" = "import llama_cpp" ] && exit 0
        echo "loading"
        echo "KVDRIVE-PROBE READY llama.cpp, $6 threads"
        while read -r line; do
          echo "KVDRIVE-PROBE RESULT $4 $(($5 - 1)) 2000 8000 102.5 NaN NaN"
        done
        """);
    try (Probe probe = start(path(), Path.of("m.gguf"))) {
      assertThat(probe.description()).isEqualTo("llama.cpp, 2 threads");
      for (int i = 0; i < 2; i++) {
        assertThat(probe.run())
            .isEqualTo(new SpeedRun(100, 4, 2000, 8000, 102.5, Double.NaN, Double.NaN));
      }
    }
  }

  @Test
  void thePackageIsMeasuredWhereItIsInstalled() throws Exception {
    Map<String, String> environment = System.getenv();
    assumeTrue(
        environment.containsKey(LlamaCpp.PYTHON),
        "no Python with llama.cpp is named by its variable");
    Path model = RandomModel.parse("random:test:q8_0").in(folder);
    try (Probe probe = start(environment, model)) {
      assertThat(probe.description()).contains("Python package", "2 threads");
      SpeedRun run = probe.run();
      assertThat(run.promptTokens()).isEqualTo(100);
      assertThat(run.decodeSteps()).isEqualTo(4);
      assertThat(run.prefillNanos()).isPositive();
      assertThat(run.decodeNanos()).isPositive();
    }
    assertThatThrownBy(() -> start(environment, folder.resolve("none.gguf")))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContaining("llama.cpp cannot load");
  }
}

package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.bench.simulate.RecordingHeader;
import dev.kvdrive.bench.simulate.SelectionRecorder;
import dev.kvdrive.kv.window.WindowDivision;
import dev.kvdrive.plan.WindowOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class SimulateTest {
  @TempDir private Path folder;
  private final StringWriter err = new StringWriter();

  /** Exact decoding selects nothing: no share of it is a hit. */
  @Test
  void refusesToReplayWhatSelectedNothing() throws IOException {
    String both = recorded("both.sel", 1.0, 0.0625);
    assertThat(run("simulate", both, "--budget", "exact")).isEqualTo(2);
    assertThat(err.toString())
        .startsWith(
            "kvdrive: --budget exact: exact decoding attends everything and selects nothing")
        .contains("take one of 6.25 %");

    String exact = recorded("exact.sel", 1.0);
    assertThat(run("simulate", exact)).isEqualTo(2);
    assertThat(err.toString())
        .startsWith("kvdrive: nothing was recorded but with --budget exact: exact decoding")
        .contains("./kvdrive eval --budget 6.25% --record FILE");
    assertThat(run("simulate", exact, "--budget", "exact")).isEqualTo(2);
    assertThat(err.toString()).contains("--budget exact: exact decoding", "eval --budget 6.25%");
  }

  private String recorded(String name, double... budgets) throws IOException {
    Path file = folder.resolve(name);
    RecordingHeader header =
        new RecordingHeader(
            "tiny",
            new WindowDivision.Shape(1, 1, 1, 4, 2, 8, false),
            64,
            256,
            4,
            WindowOptions.DEFAULT);
    try (SelectionRecorder recorder = new SelectionRecorder(file, header)) {
      for (double budget : budgets) {
        recorder.opened(0, budget);
        recorder.stepped();
        recorder.closed(0);
      }
    }
    return file.toString();
  }

  private int run(String... args) {
    err.getBuffer().setLength(0);
    CommandLine line = KvDrive.commandLine();
    line.setErr(new PrintWriter(err, true));
    line.setOut(new PrintWriter(new StringWriter()));
    return line.execute(args);
  }
}

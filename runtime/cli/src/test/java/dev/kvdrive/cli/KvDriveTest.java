package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class KvDriveTest {
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine line = KvDrive.commandLine();
    line.setErr(new PrintWriter(err, true));
    line.setOut(new PrintWriter(new StringWriter()));
    return line.execute(args);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "--gpu 2Go|--gpu|'2Go' is not a size; write for instance 512Mi or 24Gi",
        "--budget 120%|--budget|'120%' is not a share of the context",
        "--concurrency many|--concurrency|'many'",
        "--kv-type int3|--kv-type|'int3'",
        "--colour red|--colour|Unknown option",
      })
  void aBadValueIsOneLineThatNamesOptionAndValueAndOneThatShowsTheWay(
      String args, String option, String message) {
    assertThat(run(("serve " + args).split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().toList())
        .hasSize(2)
        .first()
        .asString()
        .startsWith("kvdrive: ")
        .contains(option, message);
    assertThat(err.toString()).endsWith("See './kvdrive serve --help'." + System.lineSeparator());
  }

  @Test
  void helpOfEveryCommandIsThere() {
    for (String command : KvDrive.commandLine().getSubcommands().keySet()) {
      assertThat(run(command, "--help")).as(command).isZero();
    }
  }
}

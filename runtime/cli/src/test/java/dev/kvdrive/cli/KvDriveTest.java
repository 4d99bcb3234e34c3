package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.plan.DeviceKind;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
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
        "--device tpu|--device|'tpu'",
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

  @ParameterizedTest
  @ValueSource(strings = {"demo", "serve --port 0", "eval", "bench"})
  void aDeviceThatThisMachineLacksIsWrongUsageAndNothingTakesItsPlace(String command) {
    String why = cuda().whyUnavailable();
    assumeTrue(why != null, "there is a GPU here");
    assertThat(run((command + " --device cuda").split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().toList())
        .hasSize(2)
        .first()
        .isEqualTo("kvdrive: --device: device cuda cannot be used: " + why);
  }

  /** The backend is on the class path of the command line, as only this test can tell. */
  private static DeviceFactory cuda() {
    return ServiceLoader.load(DeviceFactory.class).stream()
        .map(ServiceLoader.Provider::get)
        .filter(devices -> devices.kind() == DeviceKind.CUDA)
        .findFirst()
        .orElseThrow();
  }

  @Test
  void helpOfEveryCommandIsThere() {
    for (String command : KvDrive.commandLine().getSubcommands().keySet()) {
      assertThat(run(command, "--help")).as(command).isZero();
    }
  }
}

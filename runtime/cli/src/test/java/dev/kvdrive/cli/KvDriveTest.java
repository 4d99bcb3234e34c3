package dev.kvdrive.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.plan.DeviceKind;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.ServiceLoader;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

class KvDriveTest {
  @TempDir private Path folder;
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
        "--quality 99%|--quality|--quality is of budget auto; add --budget auto",
        "--budget 5% --budget-bound 9%|--budget-bound|add --budget auto, or leave it out",
        "--budget auto --quality 100%|--quality|and take the budget exact",
        "--meter often|--meter|'often' is not a share of the time; write for instance 1%, or off",
        "--concurrency many|--concurrency|'many' is not a whole number of 1 to 1,024",
        "--concurrency 0|--concurrency|'0' is not a whole number of 1 to 1,024",
        "--context 0|--context|'0' is not a whole number of 128 to",
        "--threads -1|--threads|'-1' is not a whole number of at least 0",
        "--port 70000|--port|'70000' is not a whole number of 0 to 65,535",
        "--rope-scaling yarn --rope-factor 2 --rope-original-context 0|--rope-original-context|'0'",
        "--dram 1.5|--dram|'1.5' is a fraction of bytes",
        "--dram 1m|--dram|m is a thousandth",
        "--otlp-endpoint ftp://collector|--otlp-endpoint|'ftp://collector' is no address of a collector",
        "--otlp-endpoint localhost:4318|--otlp-endpoint|write for instance http://localhost:4318",
        "--trace-sampling 101%|--trace-sampling|'101%' is no share of the requests; write for instance 10%",
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
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "eval --json none/x.json|'none/x.json' is in a folder that is not there",
        "eval --log none/x|'none/x' is in a folder that is not there",
        "eval --record .|'.' is a folder; name a file",
        "eval make-tasks --out none/x|'none/x' is in a folder that is not there",
        "bench --json none/x|'none/x' is in a folder that is not there",
        "bench matrix --plot none/x|'none/x' is in a folder that is not there",
        "bench widen --out none/x|'none/x' is in a folder that is not there",
        "bench users --json none/x|'none/x' is in a folder that is not there",
        "calibrate --out none/x|'none/x' is in a folder that is not there",
        "simulate x --json none/x|'none/x' is in a folder that is not there",
        "bench --context 32768|--context 32,768 and --tokens 64 together are more than the 32,768 tokens that builtin:kvdrive-tiny-32k reads",
        "bench --without foo|there is no 'foo'; there are estimate, lookahead, by-reuse, warm-up, prefetch, int8,",
      })
  void whatCannotBeWrittenOrIsNoneIsSaidBeforeAnythingRuns(String command, String message) {
    assertThat(run(command.split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().toList())
        .hasSize(2)
        .first()
        .asString()
        .startsWith("kvdrive: ")
        .contains(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "simulate none.sel|none.sel: there is no such file or folder",
        "simulate src/test/java/dev/kvdrive/cli/KvDriveTest.java|KvDriveTest.java: it is no recording that",
        "eval report none.json|none.json: there is no such file or folder",
        "eval --tasks none.jsonl|task file none.jsonl: there is no such file or folder",
      })
  void aFileThatCannotBeReadIsNamedWithItsReason(String command, String message) {
    assertThat(run(command.split(" "))).isNotZero();
    assertThat(err.toString().lines().findFirst())
        .hasValueSatisfying(m -> assertThat(m).contains(message));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "calibrate --out x --length 200",
        "calibrate --out x --length 530",
        "eval make-tasks --out x --length 200",
        "demo --tokens 100",
      })
  void aLengthWithoutRoomForItsDocumentsNamesTheOption(String command) {
    assertThat(run(command.split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().findFirst().orElseThrow())
        .startsWith("kvdrive: --")
        .containsPattern("at least [\\d,]+( tokens)?, got (200|530|100)");
  }

  @Test
  void whatAFileBringsIntoAMessageControlsNoTerminal() throws IOException {
    Path manifest =
        Files.writeString(
            folder.resolve("m.yaml"),
            "apiVersion: kvdrive.dev/v1alpha1\nkind: \"In\\e[31mX\"\nmetadata: {name: \"a\\e[2Jb\"}\n");
    Path noText = Files.write(folder.resolve("no.txt"), new byte[] {(byte) 0xff, 0x1b});
    run("plan", "-f", manifest.toString());
    assertThat(err.toString()).contains("\\u001b").doesNotContain("\u001b");
    Path broken = Files.writeString(folder.resolve("b.jinja"), "{% x\u001b[31m %");
    run("eval", "--chat-template", broken.toString());
    assertThat(err.toString()).doesNotContain("\u001b");
    run("calibrate", "--text", noText.toString());
    assertThat(err.toString()).contains("no.txt is no text in UTF-8");
  }

  @Test
  void aPlanThatDoesNotFitHasAStatusOfItsOwn() {
    String model = "--model builtin:kvdrive-tiny-32k --context 4096 --gpu 1Mi --dram 64Mi";
    assertThat(run(("plan " + model).split(" "))).isEqualTo(3);
    assertThat(run("eval --limit 1 --gpu 1Mi --dram 1Mi".split(" "))).isEqualTo(3);
    assertThat(err.toString()).contains("does not fit");
  }

  @ParameterizedTest
  @ValueSource(strings = {"demo", "serve --port 0", "eval", "bench"})
  void aDeviceThatThisMachineLacksIsWrongUsageAndNothingTakesItsPlace(String command) {
    DeviceException why = cuda().unavailable();
    assumeTrue(why != null, "there is a GPU here");
    assertThat(run((command + " --device cuda").split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().toList())
        .hasSize(2)
        .first()
        .isEqualTo("kvdrive: --device: device cuda cannot be used: " + why.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "plan --context 0",
        "plan --concurrency 0",
        "plan --model builtin:kvdrive-tiny-32k --gpu 1Gi --dram 1Gi --context 4096 --rope-scaling yarn --rope-factor 1.5 --rope-original-context 128",
        "eval --limit 0",
        "eval --samples-at-once 0",
        "eval make-tasks --length 0 --out x",
        "bench --context 0",
        "bench --runs 0",
        "demo --tokens 0",
        "demo --threads -1",
        "demo --rope-scaling yarn --rope-factor 1",
        "eval --rope-scaling yarn --rope-factor 2000",
        "bench --rope-original-context 0",
      })
  void aNumberBeyondItsBoundsIsWrongUsageOfEveryCommand(String command) {
    assertThat(run(command.split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().toList())
        .hasSize(2)
        .first()
        .asString()
        .startsWith("kvdrive: ");
  }

  /** The backend is on the class path of the command line, as only this test can tell. */
  private static DeviceFactory cuda() {
    return ServiceLoader.load(DeviceFactory.class).stream()
        .map(ServiceLoader.Provider::get)
        .filter(devices -> devices.kind() == DeviceKind.CUDA)
        .findFirst()
        .orElseThrow();
  }

  /** Whoever only plans or serves waits for no client of a cluster. */
  @Test
  void noOtherCommandLoadsAClientOfAPIServers() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xlog:class+load:stdout",
                "-cp",
                System.getProperty("java.class.path"),
                KvDrive.class.getName(),
                "plan",
                "--model",
                "builtin:kvdrive-tiny-32k",
                "--context=4096",
                "--gpu=64Mi",
                "--dram=64Mi")
            .redirectErrorStream(true)
            .start();
    String loaded = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(loaded).isZero();
    assertThat(loaded)
        .contains("dev.kvdrive.cli.plan.PlanCommand ", "dev.kvdrive.cli.status.StatusCommand ")
        .doesNotContain(" io.fabric8.");
  }

  @Test
  void helpNamesWhatTheUserTypes() {
    assertThat(status(KubectlKvDrive.commandLine()).getUsageMessage())
        .startsWith("Usage: kubectl kvdrive status [");
    assertThat(status(KvDrive.commandLine()).getUsageMessage())
        .startsWith("Usage: kvdrive status [");
    assertThat(Ended.of("stats").err()).endsWith("See 'kubectl kvdrive --help'.%n".formatted());
  }

  private static CommandLine status(CommandLine line) {
    return Objects.requireNonNull(line.getSubcommands().get("status"));
  }

  @Test
  void helpOfEveryCommandIsThere() {
    for (String command : KvDrive.commandLine().getSubcommands().keySet()) {
      assertThat(run(command, "--help")).as(command).isZero();
    }
  }

  private static final Map<String, List<String>> OF_A_MODEL =
      Map.of(
          "--rope-scaling", List.of("serve", "plan", "eval", "bench", "demo"),
          "--rope-factor", List.of("serve", "plan", "eval", "bench", "demo"),
          "--rope-original-context", List.of("serve", "plan", "eval", "bench", "demo"),
          "--chat-template", List.of("serve", "eval", "demo"));

  private static CommandSpec spec(String command) {
    return Objects.requireNonNull(KvDrive.commandLine().getSubcommands().get(command))
        .getCommandSpec();
  }

  private static String described(String command, String option) {
    return Objects.requireNonNull(spec(command).findOption(option)).description()[0];
  }

  @Test
  void whatChangesAModelIsOneOptionOfEveryCommandThatRunsOrPlansOne() {
    Set<String> commands = KvDrive.commandLine().getSubcommands().keySet();
    OF_A_MODEL.forEach(
        (option, having) -> {
          assertThat(commands)
              .filteredOn(command -> spec(command).findOption(option) != null)
              .as(option)
              .containsExactlyInAnyOrderElementsOf(having);
          assertThat(having)
              .extracting(command -> described(command, option))
              .as(option)
              .containsOnly(described("serve", option));
        });
  }

  @Test
  void aPlanIsDescribedAsServeIsStarted() {
    List<String> shared =
        spec("plan").options().stream()
            .map(OptionSpec::longestName)
            .filter(option -> spec("serve").findOption(option) != null)
            .toList();
    assertThat(shared).contains("--model", "--context", "--gpu", "--device", "--rope-factor");
    assertThat(shared)
        .allSatisfy(
            option -> assertThat(described("plan", option)).isEqualTo(described("serve", option)));
  }

  @Test
  void helpListsOptionsInOneOrder() {
    for (CommandLine command : KvDrive.commandLine().getSubcommands().values()) {
      List<String> listed =
          command
              .getUsageMessage()
              .lines()
              .map(String::strip)
              .filter(line -> line.startsWith("--"))
              .map(line -> line.split("[ =]", 2)[0].replace("[no-]", ""))
              .toList();
      assertThat(listed).as(command.getCommandName()).isSorted();
      assertThat(command.getCommandSpec().options())
          .as(command.getCommandName())
          .hasSizeGreaterThan(4);
    }
  }

  /** Descriptions are formats, in which a percent sign is written twice; picocli only warns. */
  @Test
  void helpCanBeFormatted() {
    PrintStream before = System.err;
    ByteArrayOutputStream warnings = new ByteArrayOutputStream();
    System.setErr(new PrintStream(warnings, true, StandardCharsets.UTF_8));
    try {
      List<CommandLine> open = new ArrayList<>(List.of(KvDrive.commandLine()));
      while (!open.isEmpty()) {
        CommandLine command = open.removeLast();
        open.addAll(command.getSubcommands().values());
        assertThat(command.getUsageMessage()).isNotBlank();
      }
    } finally {
      System.setErr(before);
    }
    assertThat(warnings.toString(StandardCharsets.UTF_8)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "eval --rope-scaling yarn --rope-factor 2 --rope-original-context 40000 | starts from 40,000 tokens",
        "bench --rope-scaling yarn --rope-factor 2 --rope-original-context 1000 | no more than the 32,768",
        "bench --beside jlama --rope-scaling yarn --rope-factor 2 | --beside jlama reads models as their files are",
        "eval --chat-template none.jinja | --chat-template none.jinja",
        "demo --chat-template none.jinja | --chat-template none.jinja",
        "plan -f none.yaml --kv-type f32 | --kv-type and -f exclude each other",
        "plan -f none.yaml --index two-bit | --index and -f exclude each other",
        "plan -f none.yaml --rope-factor 2 | --rope-factor and -f exclude each other",
      })
  void whatDoesNotGoWithTheModelIsWrongUsage(String command, String message) {
    assertThat(run(command.split(" "))).isEqualTo(2);
    assertThat(err.toString().lines().toList()).hasSize(2).first().asString().contains(message);
  }
}

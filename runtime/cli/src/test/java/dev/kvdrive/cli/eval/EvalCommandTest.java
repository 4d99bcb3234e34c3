package dev.kvdrive.cli.eval;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** With the bundled model on the CPU device and samples of 640 tokens. */
class EvalCommandTest {
  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine line = new CommandLine(new EvalCommand());
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setExecutionExceptionHandler(
        (failure, cmd, parsed) -> {
          cmd.getErr().println(failure.getMessage());
          return 1;
        });
    return line.execute(args);
  }

  private String tasks() {
    Path file = folder.resolve("tasks.jsonl.gz");
    assertThat(
            run(
                "make-tasks",
                "--length",
                "640",
                "--samples",
                "2",
                "--task",
                "passkey,niah_single",
                "--out",
                file.toString()))
        .isZero();
    return file.toString();
  }

  @Test
  void makesTasksScoresThemForEachBudgetAndGoesOnFromItsLog() throws Exception {
    String tasks = tasks();
    String log = folder.resolve("log.jsonl").toString();
    Path json = folder.resolve("scores.json");
    String[] args = {
      "--tasks",
      tasks,
      "--tasks-only",
      "passkey",
      "--limit",
      "1",
      "--budget",
      "exact,25%",
      "--log",
      log,
      "--json",
      json.toString()
    };
    assertThat(run(args)).as(err.toString()).isZero();
    assertThat(out.toString())
        .contains("| task", "exact", "25 %", "| passkey", "**100.0**")
        .contains("Device: CPU, ");
    assertThat(err.toString()).contains("window of", "100 %");
    JsonNode scores = JsonMapper.shared().readTree(Files.readString(json));
    assertThat(scores.at("/columns/exact/scores/passkey").asDouble()).isEqualTo(100);
    assertThat(scores.at("/columns/25 %/attended").asDouble()).isBetween(0.2, 0.45);
    assertThat(scores.at("/contextLength").asInt()).isLessThanOrEqualTo(640);
    assertThat(scores.at("/index").asString()).isEqualTo("planes-96+clusters-16x4");
    assertThat(scores.at("/weights").asString()).hasSize(32);
    assertThat(scores.at("/columns/25 %/againstExact").asDouble()).isZero();
    JsonNode run = scores.at("/runs/1");
    assertThat(run.at("/settings/budget").asDouble()).isEqualTo(0.25);
    assertThat(run.at("/settings/policy").asString()).isEqualTo("kvdrive");
    assertThat(run.at("/conditions/0/contextLength").asInt()).isLessThanOrEqualTo(640);
    assertThat(run.at("/samples/0/score").asDouble()).isEqualTo(1);
    assertThat(run.at("/samples/0/usage/completionTokens").asInt()).isPositive();

    String first = out.toString().substring(out.toString().indexOf("| task"));
    int told = out.getBuffer().length();
    err.getBuffer().setLength(0);
    assertThat(run(args)).isZero();
    assertThat(out.toString().substring(told)).isEqualTo(first);
    assertThat(err.toString()).as("no engine was started").doesNotContain("window of");
  }

  @Test
  void anIndexOfBitPlanesFindsWhatIsAskedForAndIsAnotherRun() throws Exception {
    Path log = folder.resolve("log.jsonl");
    Path json = folder.resolve("scores.json");
    List<String> args =
        List.of(
            "--tasks",
            tasks(),
            "--tasks-only",
            "passkey",
            "--limit",
            "1",
            "--budget",
            "25%",
            "--log",
            log.toString(),
            "--json",
            json.toString());
    for (String index : List.of("two-bit", "planes-96", "planes-96+clusters-16x4")) {
      List<String> more = new ArrayList<>(args);
      more.addAll(List.of("--index", index));
      assertThat(run(more.toArray(String[]::new))).as(err.toString()).isZero();
      assertThat(out.toString()).contains("**100.0**");
      assertThat(json).content().contains("\"index\" : \"" + index + "\"");
    }
    assertThat(Files.readAllLines(log)).filteredOn(line -> !line.isBlank()).hasSize(3);
  }

  @Test
  void budgetAutoHasAColumnForEachQualityAndTheMeterSaysWhatWasMissed() throws Exception {
    Path json = folder.resolve("scores.json");
    List<String> args = new ArrayList<>(List.of("--tasks", tasks(), "--tasks-only", "passkey"));
    args.addAll(List.of("--limit", "1", "--budget", "exact,auto", "--quality", "60%,99.9%"));
    args.addAll(List.of("--budget-bound", "50%", "--meter", "100%", "--json", json.toString()));
    assertThat(run(args.toArray(String[]::new))).as(err.toString()).isZero();
    assertThat(out.toString()).contains("auto 60 %", "auto 99.9 %", "mass missed", "output error");
    JsonNode scores = JsonMapper.shared().readTree(Files.readString(json));
    double little = scores.at("/columns/auto 60 %/attended").asDouble();
    double much = scores.at("/columns/auto 99.9 %/attended").asDouble();
    assertThat(little).isPositive().isLessThan(much);
    assertThat(much).isLessThan(1);
    assertThat(scores.at("/columns/exact/massMissed").asDouble()).isZero();
    assertThat(scores.at("/runs/1/settings/quality").asDouble()).isEqualTo(0.6);
    assertThat(run("--policy", "quest", "--budget", "auto")).isEqualTo(2);
    assertThat(err.toString()).contains("policy quest knows no shares of attention");
  }

  @Test
  void everyPolicyHasColumnsOfItsOwnWithWhatItsIndexTakes() throws Exception {
    Path json = folder.resolve("scores.json");
    assertThat(
            run(
                "--tasks",
                tasks(),
                "--tasks-only",
                "passkey",
                "--limit",
                "1",
                "--budget",
                "50%",
                "--policy",
                "full,quest,shadowkv",
                "--json",
                json.toString()))
        .as(err.toString())
        .isZero();
    assertThat(out.toString()).contains("full exact", "quest 50 %", "shadowkv 50 %");
    JsonNode scores = JsonMapper.shared().readTree(Files.readString(json));
    assertThat(scores.at("/columns/full exact/scores/passkey").asDouble()).isEqualTo(100);
    // Two keys of 64 bf16 elements for 16 tokens; one and a cosine for 8.
    assertThat(scores.at("/columns/quest 50 %/indexBytesPerToken").asDouble()).isEqualTo(16);
    assertThat(scores.at("/columns/shadowkv 50 %/indexBytesPerToken").asDouble()).isEqualTo(16.5);
    assertThat(scores.at("/policies/quest/index").asString()).isEqualTo("min-max");
    // Two layers of six are dense, beside sink and local tokens.
    assertThat(scores.at("/columns/quest 50 %/attended").asDouble())
        .isGreaterThan(scores.at("/columns/shadowkv 50 %/attended").asDouble() + 0.05);
  }

  /** A run of exact mode and one of a method, as if on two machines. */
  @Test
  void severalRunsAreReportedAsOneTableAndOneDrawing() throws Exception {
    String tasks = tasks();
    List<String> args =
        List.of("--tasks", tasks, "--tasks-only", "passkey", "--budget", "50%", "--json");
    List<Path> files = new ArrayList<>();
    for (String policy : List.of("full", "shadowkv")) {
      Path file = folder.resolve(policy + ".json.gz");
      files.add(file);
      List<String> own = new ArrayList<>(args);
      own.addAll(List.of(file.toString(), "--policy", policy));
      if (policy.equals("full")) {
        own.set(own.indexOf("50%"), "exact");
      }
      assertThat(run(own.toArray(String[]::new))).as(err.toString()).isZero();
    }
    Path plot = folder.resolve("all.svg");
    Path all = folder.resolve("all.json");
    out.getBuffer().setLength(0);
    assertThat(
            run(
                "report",
                files.get(0).toString(),
                files.get(1).toString(),
                "--by-task",
                "--plot",
                plot.toString(),
                "--json",
                all.toString()))
        .as(err.toString())
        .isZero();
    String told = out.toString();
    assertThat(told).contains("| model", "full", "shadowkv", "50 %", "landmark", "| passkey");
    assertThat(plot).content().contains("<svg", "shadowkv", "<circle");
    out.getBuffer().setLength(0);
    assertThat(run("report", all.toString(), "--by-task")).isZero();
    assertThat(out.toString()).isEqualTo(told);
  }

  @Test
  void aReportOfWhatIsNoneIsRefusedWithTheWayOut() throws Exception {
    Path other = Files.writeString(folder.resolve("other.json"), "{}");
    assertThat(run("report", other.toString())).isEqualTo(1);
    assertThat(err.toString()).contains("other.json has no runs", "eval --json");
    assertThat(run("report")).isEqualTo(2);
  }

  @Test
  void policiesAndOptionsThatDoNotGoTogetherAreToldWithTheWayOut() {
    assertThat(run("--policy", "best")).isEqualTo(2);
    assertThat(err.toString()).contains("there is no policy 'best'", "quest, shadowkv");
    assertThat(run("--policy", "quest,quest")).isEqualTo(2);
    assertThat(err.toString()).contains("every policy only once");
    assertThat(run("--policy", "quest", "--index", "planes-64")).isEqualTo(2);
    assertThat(err.toString())
        .contains("policy quest has its own (min-max); leave --index out, or add --policy kvdrive");
    assertThat(run("--policy", "full", "--budget", "25%")).isEqualTo(2);
    assertThat(err.toString()).contains("policy full attends everything; take --budget exact");
    assertThat(run("--policy", "pqcache", "--index", "planes-64")).isEqualTo(2);
    assertThat(err.toString()).contains("policy pqcache has its own (pqcache)");
  }

  @Test
  void anIndexThatIsNoneAndAModelWithoutCalibrationAreToldWithTheWayOut() throws Exception {
    assertThat(run("--index", "planes-33")).isEqualTo(2);
    assertThat(err.toString()).contains("whole words of 32 bits a key, got 33");
    assertThat(run("--index", "best")).isEqualTo(2);
    assertThat(err.toString()).contains("there is no index 'best'", "planes-128");
    assertThat(run("--index", "planes-96+all")).isEqualTo(2);
    assertThat(err.toString()).contains("there is no estimate 'all'", "planes-96+clusters-64");
    Path bundled = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    Path alone = Files.copy(bundled, folder.resolve("alone.gguf"));
    assertThat(
            run(
                "--model",
                alone.toString(),
                "--index",
                "planes-96",
                "--tasks-only",
                "passkey",
                "--limit",
                "1"))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains("needs a calibration", "alone.gguf.kvdrive-index.safetensors", "calibrate");
  }

  @Test
  void anUnknownTaskIsNamedWithThoseThereAre() {
    assertThat(run("--tasks-only", "poetry")).isEqualTo(2);
    assertThat(err.toString()).contains("no task 'poetry'", "fact_qa, json_kv");
  }

  @Test
  void aSampleThatIsTooLongForTheModelIsNamedBeforeAnythingRuns() {
    Path file = folder.resolve("long.jsonl");
    assertThat(
            run(
                "make-tasks",
                "--length",
                "40000",
                "--samples",
                "1",
                "--task",
                "passkey",
                "--out",
                file.toString()))
        .isZero();
    assertThat(run("--tasks", file.toString())).isEqualTo(1);
    assertThat(err.toString())
        .contains("sample 1 (passkey) needs", "trained for 32,768", "yarn with a factor of 2");
    assertThat(run("--tasks", file.toString(), "--rope-scaling", "linear", "--rope-factor", "1.1"))
        .isEqualTo(1);
    assertThat(err.toString()).contains("36,044 of the", "the rope scaling that was asked for");
  }

  /** What is kept in a log belongs to one context and one template. */
  @Test
  void anExtendedContextAndAnotherTemplateAreOtherRuns() throws Exception {
    Path template =
        Files.writeString(
            folder.resolve("chat.jinja"),
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:");
    Path log = folder.resolve("log.jsonl");
    Path json = folder.resolve("scores.json");
    List<String> args =
        List.of(
            "--tasks",
            tasks(),
            "--tasks-only",
            "passkey",
            "--limit",
            "1",
            "--budget",
            "25%",
            "--log",
            log.toString(),
            "--json",
            json.toString());
    assertThat(run(args.toArray(String[]::new))).as(err.toString()).isZero();
    List<String> changed = new ArrayList<>(args);
    changed.addAll(List.of("--rope-scaling", "yarn", "--rope-factor", "2"));
    changed.addAll(List.of("--chat-template", template.toString()));
    assertThat(run(changed.toArray(String[]::new))).as(err.toString()).isZero();
    assertThat(Files.readAllLines(log))
        .filteredOn(line -> !line.isBlank())
        .hasSize(2)
        .last()
        .asString()
        .contains(", rope yarn, factor 2, template ");
    JsonNode scores = JsonMapper.shared().readTree(Files.readString(json));
    assertThat(scores.at("/ropeScaling").asString()).isEqualTo("yarn, factor 2");
    assertThat(scores.at("/chatTemplate").asString()).hasSize(16);
    err.getBuffer().setLength(0);
    assertThat(run(changed.toArray(String[]::new))).isZero();
    assertThat(err.toString()).as("no engine was started").doesNotContain("window of");
  }

  @Test
  void aTemplateThatIsBrokenIsToldBeforeAnythingRuns() throws Exception {
    Path template = Files.writeString(folder.resolve("chat.jinja"), "{% for %}");
    assertThat(run("--chat-template", template.toString())).isEqualTo(1);
    assertThat(err.toString())
        .contains("the chat template that was given cannot be used", "--chat-template")
        .doesNotContain("window of");
  }
}

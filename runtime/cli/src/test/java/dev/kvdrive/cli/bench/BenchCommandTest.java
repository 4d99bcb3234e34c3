package dev.kvdrive.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.bench.model.RandomModel;
import dev.kvdrive.model.ModelLoader;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class BenchCommandTest {
  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... args) {
    CommandLine line = new CommandLine(new BenchCommand());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return line.execute(args);
  }

  @Test
  void measuresEachBudgetInAProcessOfItsOwn() throws Exception {
    Path json = folder.resolve("speed.json");
    assertThat(
            run(
                "--context", "200",
                "--tokens", "4",
                "--budget", "exact,25%",
                "--runs", "2",
                "--warm-up", "0",
                "--threads", "2",
                "--rope-scaling", "yarn",
                "--rope-factor", "2",
                "--json", json.toString()))
        .as(err.toString())
        .isZero();
    assertThat(out.toString())
        .contains(
            "Device: KVDrive, CPU, 2 threads",
            "Memory bandwidth",
            "| 200 | exact |",
            "| 200 | 25 % |");
    JsonNode figures = JsonMapper.shared().readTree(Files.readString(json));
    assertThat(figures.at("/ropeScaling").asString()).isEqualTo("yarn, factor 2");
    JsonNode rows = figures.path("rows");
    assertThat(rows.size()).isEqualTo(2);
    assertThat(rows.at("/0/decodeTokensPerSecond/median").asDouble()).isPositive();
    assertThat(rows.at("/0/readBytesPerToken").asLong())
        .isGreaterThan(rows.at("/1/readBytesPerToken").asLong());
  }

  @Test
  void measuresSequencesTogetherWithAndWithoutAPart() throws Exception {
    Path json = folder.resolve("speed.json");
    assertThat(
            run(
                "--context",
                "1500",
                "--tokens",
                "4",
                "--budget",
                "25%",
                "--sequences",
                "2",
                "--dram-share",
                "1%",
                "--window",
                "1.5",
                "--prefetch",
                "--without",
                "prefetch,micro-batches",
                "--nvme-dir",
                folder.toString(),
                "--runs",
                "1",
                "--warm-up",
                "0",
                "--json",
                json.toString()))
        .as(err.toString())
        .isZero();
    assertThat(out.toString())
        .contains("2 sequences |", "2 sequences, without prefetch |", "without micro-batches |");
    JsonNode figures = JsonMapper.shared().readTree(Files.readString(json));
    assertThat(figures.path("sequences").asInt()).isEqualTo(2);
    assertThat(figures.path("dramShare").asDouble()).isEqualTo(0.01);
    assertThat(figures.path("rows").size()).isEqualTo(3);
    assertThat(figures.at("/rows/0/fetchedBytesPerToken").asDouble()).isPositive();
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(json);
    }
  }

  @Test
  void aMatrixMeasuresWhatIsNamedInTurnAndItsFilesAreToldAsOne() throws Exception {
    Path json = folder.resolve("matrix.json.gz");
    Path plot = folder.resolve("matrix.svg");
    assertThat(
            run(
                "matrix",
                "--lengths",
                "500",
                "--batch",
                "2",
                "--tiers",
                "half",
                "--only",
                "exact,lookahead",
                "--budget",
                "25%",
                "--tokens",
                "4",
                "--rounds",
                "2",
                "--settle",
                "4",
                "--threads",
                "2",
                "--nvme-dir",
                folder.toString(),
                "--json",
                json.toString()))
        .as(err.toString())
        .isZero();
    assertThat(out.toString())
        .contains("**500, batch 2, half on NVMe**", "| kvdrive |", "| exact * |")
        .contains("| without lookahead |")
        .doesNotContain("Missing");
    assertThat(err.toString()).contains("round 2: ", " left");
    out.getBuffer().setLength(0);
    assertThat(run("report", json.toString(), "--plot", plot.toString())).isZero();
    assertThat(out.toString()).contains("| without lookahead |");
    assertThat(Files.readString(plot)).contains("without lookahead");
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactlyInAnyOrder(json, plot);
    }
  }

  @Test
  void aMatrixWithoutTimeSaysWhatIsMissing() {
    assertThat(
            run("matrix", "--lengths", "8k", "--batch", "1", "--only", "quest", "--within", "1s"))
        .as(err.toString())
        .isZero();
    assertThat(out.toString()).contains("Missing:", "kvdrive: ", "quest: ");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "--runs 0|'0' is not a whole number of at least 1",
        "--tokens 1|--tokens must be at least 2, got 1",
        "--beside jlama --device cuda|--beside jlama computes on the CPU; leave --device cuda out",
        "--beside llama.cpp --sequences 2|--beside llama.cpp decodes one sequence; leave --sequences out",
        "--beside jlama|--beside jlama: Jlama is not built; use ./kvdrive bench --beside jlama, which builds it",
        "--without prefetch|--without prefetch: it is off already; switch it on, or leave it out",
        "--micro-batches 3|'3' is neither auto nor 1, 2 or 4",
        "--nvme-encryption aes-gcm|all is in DRAM and nothing on NVMe; add --dram-share 50%",
        "--dram-share 50% --nvme-encryption des|with none or aes-gcm, not with des",
        "matrix --tiers dram --nvme-encryption aes-gcm|nothing on NVMe; add --tiers half",
        "--window 0|a window of 0.0 selections holds nothing",
        "matrix --lengths 33k|33,000 tokens and 713 of answers are more than the 32,768 that the model serves",
        "matrix --only speed|there is no 'speed'; there are nothing, parts, baselines, exact,",
        "matrix --within soon|'soon' is no time; write for instance 90s, 9m or 2h",
        "matrix --lengths 8kk|'8kk' is no length in tokens",
        "report missing.json|missing.json is no file that ./kvdrive bench matrix --json has written",
        "--beside vllm|there is no engine 'vllm'; there are jlama, llama.cpp",
      })
  void refusesWhatCannotBeMeasured(String args, String message) {
    assertThat(run(args.split(" "))).isEqualTo(2);
    assertThat(err.toString()).contains(message);
  }

  @Test
  void widensAModelAndSaysWhatCannotBe() {
    Path small = RandomModel.parse("random:test:q8_0").in(folder);
    Path wide = folder.resolve("wide.gguf");
    assertThat(
            run(
                "widen",
                "--model",
                small.toString(),
                "--shape",
                "test",
                "--type",
                "q8_0",
                "--out",
                wide.toString()))
        .as(err.toString())
        .isZero();
    assertThat(ModelLoader.geometry(wide).layers()).isEqualTo(2);
    assertThat(err.toString()).contains("./kvdrive calibrate --model " + wide);

    assertThat(run("widen", "--shape", "test", "--out", wide.toString())).isEqualTo(2);
    assertThat(err.toString())
        .contains("cannot have this shape: it has 2 layers, fewer than 6")
        .contains("take a larger shape or a smaller model");
    assertThat(run("widen", "--shape", "large", "--out", wide.toString())).isEqualTo(2);
    assertThat(err.toString())
        .contains("there is no shape 'large'; there are llama-3.2-1b and llama-3-8b");
    assertThat(run("widen", "--model", wide.toString(), "--out", wide.toString())).isEqualTo(2);
    assertThat(err.toString()).contains("is the small model itself; name another");
  }
}

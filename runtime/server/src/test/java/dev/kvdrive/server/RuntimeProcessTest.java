package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The runtime as the image runs it: a process that says in one line why it cannot start. */
class RuntimeProcessTest {
  private static final List<String> VECTOR =
      List.of("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED");

  @TempDir Path folder;

  private record Ended(int code, List<String> errors, String log) {}

  private Ended run(List<String> jvm, String... settings) throws IOException, InterruptedException {
    return end(jvm, "", settings);
  }

  /**
   * @param last what the log says before the process gets SIGTERM; empty if it ends by itself
   */
  private Ended end(List<String> jvm, String last, String... settings)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(jvm);
    command.add("-cp");
    command.add(
        Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> !Path.of(entry).endsWith("test-classes"))
            .collect(Collectors.joining(File.pathSeparator)));
    command.add(RuntimeApplication.class.getName());
    command.addAll(List.of(settings));
    Path errors = folder.resolve("errors");
    Path log = folder.resolve("log");
    Process process =
        new ProcessBuilder(command)
            .redirectError(errors.toFile())
            .redirectOutput(log.toFile())
            .start();
    try {
      if (!last.isEmpty()) {
        Awaitility.await()
            .atMost(Duration.ofMinutes(2))
            .pollInterval(Duration.ofMillis(5))
            .until(() -> Files.readString(log).contains(last) || !process.isAlive());
        process.destroy();
      }
      assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    } finally {
      process.destroyForcibly();
    }
    // The JVM announces the module by itself.
    List<String> lines =
        Files.readAllLines(errors).stream().filter(l -> !l.startsWith("WARNING: ")).toList();
    return new Ended(process.exitValue(), lines, Files.readString(log));
  }

  @Test
  void namesTheModelFileThatIsDamaged() throws Exception {
    Path model = Files.writeString(folder.resolve("model.gguf"), "GGUF");
    Ended ended =
        run(
            VECTOR,
            "--server.port=0",
            "--kvdrive.model.uri=" + model,
            "--kvdrive.model.cache-dir=" + folder);
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.errors()).isEmpty();
    assertThat(ended.log().lines().filter(line -> line.contains("\"ERROR\"")))
        .singleElement()
        .asString()
        .contains("The runtime cannot start: " + model)
        .doesNotContain("stack_trace");
  }

  @ParameterizedTest
  @ValueSource(strings = {"opening", "loading and warming up"})
  void endsAtOnceAndWithoutAnErrorWhileItStarts(String stage) throws Exception {
    Ended ended =
        end(
            VECTOR,
            stage,
            "--server.port=0",
            "--kvdrive.model.cache-dir=" + folder,
            "--kvdrive.tiers.nvme-bytes=64Mi",
            "--kvdrive.tiers.nvme-dir=" + folder.resolve("nvme"));
    assertThat(ended.code()).as("as SIGTERM ends any JVM").isEqualTo(143);
    assertThat(ended.errors()).isEmpty();
    assertThat(ended.log())
        .doesNotContain("\"ERROR\"")
        .doesNotContain("\"WARN\"")
        .doesNotContain("SIGSEGV")
        .doesNotContain("Ready: serving");
  }

  @Test
  void namesTheSettingThatIsUnknown() throws Exception {
    Ended ended = run(VECTOR, "--server.port=0", "--kvdrive.contxt-length=4096");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.errors())
        .singleElement()
        .asString()
        .startsWith("kvdrive: the runtime cannot start: unknown configuration: kvdrive.contxt-");
    assertThat(ended.log()).doesNotContain("\"ERROR\"").doesNotContain("\"WARN\"");
  }

  @Test
  void saysHowToGetTheVectorApi() throws Exception {
    Ended ended = run(List.of());
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.errors())
        .singleElement()
        .asString()
        .contains("without the Vector API", "--add-modules jdk.incubator.vector");
  }
}

package dev.kvdrive.model.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.Golden;
import dev.kvdrive.model.source.HubStandIn.Fault;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What several commits of one repository share on disk, and what goes when nothing wants it. */
class HubSnapshotsTest {
  private static final String FIRST = HubStandIn.COMMIT;
  private static final String SECOND = "1".repeat(40);
  private static final String THIRD = "2".repeat(40);
  private static final String BRANCH = "hf://acme/tiny/model.gguf";
  private static final int PIECE = 16 << 10;

  @TempDir Path cache;
  private HubStandIn hub;

  @BeforeEach
  void start() throws IOException {
    hub = new HubStandIn();
    hub.put("model.gguf", Files.readAllBytes(Golden.file("llama-mixed.gguf")));
  }

  @AfterEach
  void stop() {
    hub.close();
  }

  private Path resolve(String uri) {
    Duration pause = Duration.ofMillis(1);
    return new ModelSource(
            cache,
            new HubSettings(hub.endpoint(), null, false, 1, PIECE, 1, pause, Duration.ofSeconds(5)))
        .resolve(uri);
  }

  private Path snapshot(String commit) {
    return cache.resolve("hub/acme--tiny").resolve(commit);
  }

  /** Another process that asks for the model, so that this one does not hold its files. */
  private void resolveElsewhere(String uri) throws IOException, InterruptedException {
    Process other =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Elsewhere.class.getName(),
                cache.toString(),
                hub.endpoint().toString(),
                uri)
            .redirectErrorStream(true)
            .start();
    String said = new String(other.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(other.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(other.exitValue()).as(said).isZero();
  }

  /** The main class of that process. */
  static final class Elsewhere {
    private Elsewhere() {}

    public static void main(String[] arguments) {
      new ModelSource(
              Path.of(arguments[0]),
              new HubSettings(
                  URI.create(arguments[1]),
                  null,
                  false,
                  1,
                  PIECE,
                  1,
                  Duration.ofMillis(1),
                  Duration.ofSeconds(5)))
          .resolve(arguments[2]);
    }
  }

  @Test
  void aCommitThatLeavesTheWeightsAloneBringsNone() throws IOException {
    Path before = resolve(BRANCH);
    hub.commit = SECOND;
    hub.put("README.md", "new words".getBytes(StandardCharsets.UTF_8));
    hub.requests.clear();
    Path after = resolve(BRANCH);
    assertThat(hub.count("store", "model.gguf")).isZero();
    assertThat(after).startsWith(snapshot(SECOND)).hasSameBinaryContentAs(before);
    assertThat(Files.getAttribute(after, "unix:ino"))
        .isEqualTo(Files.getAttribute(before, "unix:ino"));
  }

  @Test
  void aFileUnderTwoNamesComesOnce() throws IOException {
    hub.put("config.json", "{}".getBytes(StandardCharsets.UTF_8));
    byte[] weights = Files.readAllBytes(Golden.file("llama").resolve("config.json"));
    hub.put("model.safetensors", weights);
    hub.put("tokenizer.json", weights);
    Path folder = resolve("hf://acme/tiny");
    assertThat(folder.resolve("tokenizer.json")).hasBinaryContent(weights);
    assertThat(folder.resolve("model.safetensors")).hasBinaryContent(weights);
    assertThat(
            hub.requests.stream()
                .filter(
                    r -> r.path().endsWith("tokenizer.json") || r.path().endsWith(".safetensors")))
        .hasSize(1);
  }

  @Test
  void aDownloadThatBrokeGoesOnForTheNextCommit() {
    AtomicInteger pieces = new AtomicInteger();
    hub.faults =
        r -> r.host().equals("store") && pieces.incrementAndGet() > 2 ? Fault.status(503) : null;
    assertThatThrownBy(() -> resolve(BRANCH)).isInstanceOf(ModelSourceException.class);
    hub.faults = r -> null;
    hub.commit = SECOND;
    hub.requests.clear();
    Path file = resolve(BRANCH);
    assertThat(file).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
    assertThat(hub.count("store", "model.gguf"))
        .isEqualTo(Math.ceilDiv(file.toFile().length(), PIECE) - 2);
    assertThat(cache.resolve("hub/acme--tiny/parts")).isEmptyDirectory();
  }

  @Test
  void whatNoReferenceMeansGoes() throws Exception {
    resolveElsewhere(BRANCH);
    assertThat(snapshot(FIRST)).exists();
    hub.commit = SECOND;
    resolve(BRANCH);
    assertThat(snapshot(FIRST)).doesNotExist();
    assertThat(snapshot(SECOND).resolve("model.gguf")).exists();
  }

  @Test
  void whatAProcessUsesStaysUntilItHasEnded() throws Exception {
    resolve(BRANCH);
    hub.commit = SECOND;
    resolveElsewhere(BRANCH);
    assertThat(snapshot(FIRST).resolve("model.gguf")).exists();
    hub.commit = THIRD;
    resolve(BRANCH);
    assertThat(snapshot(FIRST)).as("in use by this process").exists();
    assertThat(snapshot(SECOND)).as("its process has ended").doesNotExist();
  }

  @Test
  void aPinnedCommitStaysWhileSomebodyAsksForIt() throws Exception {
    resolveElsewhere("hf://acme/tiny@" + FIRST + "/model.gguf");
    hub.commit = SECOND;
    resolveElsewhere(BRANCH);
    assertThat(snapshot(FIRST)).exists();
    Path pin = cache.resolve("hub/acme--tiny/refs").resolve(FIRST);
    Files.setLastModifiedTime(pin, FileTime.from(Instant.now().minus(Duration.ofDays(31))));
    resolveElsewhere(BRANCH);
    assertThat(snapshot(FIRST)).doesNotExist();
    assertThat(pin).doesNotExist();
  }

  @Test
  void aCacheOfAnEarlierVersionIsTakenOver() throws IOException {
    Path whole = resolve(BRANCH);
    Path folder = Objects.requireNonNull(whole.getParent());
    Files.move(whole, folder.resolve("model.gguf.part"));
    Files.writeString(
        folder.resolve("model.gguf.pieces"),
        "%s %d %d%n0%n1%n"
            .formatted(
                HubFile.sha256(folder.resolve("model.gguf.part")),
                Files.size(folder.resolve("model.gguf.part")),
                PIECE));
    hub.requests.clear();
    assertThat(resolve(BRANCH)).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
    assertThat(hub.count("store", "model.gguf"))
        .isEqualTo(Math.ceilDiv(Files.size(whole), PIECE) - 2);
    assertThat(names(folder)).containsExactlyInAnyOrder(".listing.json", ".in-use", "model.gguf");
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> String.valueOf(f.getFileName())).toList();
    }
  }
}

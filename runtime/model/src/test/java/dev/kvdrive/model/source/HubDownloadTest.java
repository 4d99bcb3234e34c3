package dev.kvdrive.model.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.Golden;
import dev.kvdrive.model.IndexSidecar;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubStandIn.Fault;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HubDownloadTest {
  private static final String FOLDER = "hf://acme/tiny";
  private static final String GGUF = "hf://acme/tiny/model.gguf";
  private static final int PIECE = 16 << 10;

  @TempDir Path cache;
  private HubStandIn hub;

  @BeforeEach
  void start() throws IOException {
    hub = new HubStandIn();
    try (Stream<Path> files = Files.list(Golden.file("llama"))) {
      for (Path file : (Iterable<Path>) files::iterator) {
        hub.put(file.getFileName().toString(), Files.readAllBytes(file));
      }
    }
    hub.put("pytorch_model.bin", new byte[100]);
    hub.put("model.gguf", Files.readAllBytes(Golden.file("llama-mixed.gguf")));
    hub.put("sub/other.gguf", new byte[10]);
  }

  @AfterEach
  void stop() {
    hub.close();
  }

  private ModelSource source(@Nullable String token, boolean offline, URI endpoint) {
    return source(token, offline, endpoint, 3);
  }

  private ModelSource source(
      @Nullable String token, boolean offline, URI endpoint, int connections) {
    Duration pause = Duration.ofMillis(1);
    Duration stall = Duration.ofMillis(500);
    return new ModelSource(
        cache, new HubSettings(endpoint, token, offline, connections, PIECE, 3, pause, stall));
  }

  private ModelSource source() {
    return source(null, false, hub.endpoint());
  }

  @Test
  void bringsAFolderThatOpens() {
    Path folder = source().resolve(FOLDER);
    try (Model model = ModelLoader.open(folder)) {
      assertThat(model.layers()).hasSize(2);
    }
    assertThat(folder).hasFileName(HubStandIn.COMMIT);
    assertThat(folder.resolve("pytorch_model.bin")).doesNotExist();
    assertThat(folder.resolve("model.gguf")).doesNotExist();
  }

  @Test
  void bringsOneFileInPiecesOverSeveralConnections() throws IOException {
    Path file = source().resolve(GGUF);
    assertThat(file).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
    assertThat(hub.count("store", "model.gguf")).isEqualTo(Math.ceilDiv(Files.size(file), PIECE));
    assertThat(leftovers()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "/quants/llama-split-00003-of-00003.gguf"})
  void bringsAllPartsOfASplitModelByTheNameOfAny(String file) throws IOException {
    hub.clear();
    try (Stream<Path> parts = Files.list(Golden.file("split"))) {
      for (Path part : (Iterable<Path>) parts::iterator) {
        hub.put("quants/" + part.getFileName(), Files.readAllBytes(part));
      }
    }
    hub.put("README.md", new byte[10]);
    assertThat(source().geometry(FOLDER + file))
        .isEqualTo(ModelLoader.geometry(Golden.file("llama-mixed.gguf")));
    try (Model model = ModelLoader.open(source().resolve(FOLDER + file))) {
      assertThat(model.layers()).hasSize(2);
    }
  }

  @Test
  void namesThePartThatARepositoryLacks() throws IOException {
    hub.clear();
    String name = "llama-split-%05d-of-00003.gguf";
    for (int i : new int[] {1, 3}) {
      String part = name.formatted(i);
      hub.put(part, Files.readAllBytes(Golden.file("split").resolve(part)));
    }
    assertThatThrownBy(() -> source().resolve(FOLDER))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("no file " + name.formatted(2));
  }

  @Test
  void reportsProgressUpToTheWholeModel() {
    List<Long> done = new CopyOnWriteArrayList<>();
    AtomicInteger wrongTotals = new AtomicInteger();
    long size = size("model.gguf");
    source()
        .resolve(
            GGUF,
            (file, d, total) -> {
              done.add(d);
              wrongTotals.addAndGet(total == size ? 0 : 1);
            });
    assertThat(done.getLast()).isEqualTo(size);
    assertThat(wrongTotals).hasValue(0);
  }

  @Test
  void sendsTheTokenToTheEndpointOnly() {
    hub.token = "hf_secret";
    source("hf_secret", false, hub.endpoint()).resolve(GGUF);
    assertThat(hub.requests)
        .anySatisfy(r -> assertThat(r.host()).isEqualTo("store"))
        .allSatisfy(
            r ->
                assertThat(r.authorization())
                    .isEqualTo(r.host().equals("hub") ? "Bearer hf_secret" : null));
  }

  @Test
  void usesACommitThatIsHereWithoutAnyRequest() {
    Path first = source().resolve("hf://acme/tiny@" + HubStandIn.COMMIT + "/model.gguf");
    hub.requests.clear();
    assertThat(source().resolve("hf://acme/tiny@" + HubStandIn.COMMIT + "/model.gguf"))
        .isEqualTo(first);
    assertThat(hub.requests).isEmpty();
  }

  @Test
  void asksOnlyWhatABranchMeansWhenTheFilesAreHere() {
    source().resolve(FOLDER);
    hub.requests.clear();
    source().resolve(FOLDER);
    assertThat(hub.requests).hasSize(1);
  }

  @Test
  void usesABranchThatIsHereWhenTheHubFailsOrIsForbidden() {
    Path first = source().resolve(FOLDER);
    hub.faults = r -> Fault.status(503);
    assertThat(source().resolve(FOLDER)).isEqualTo(first);
    hub.requests.clear();
    assertThat(source(null, true, hub.endpoint()).resolve(FOLDER)).isEqualTo(first);
    assertThat(hub.requests).isEmpty();
  }

  @Test
  void goesOnWhereABrokenDownloadStopped() {
    AtomicInteger pieces = new AtomicInteger();
    hub.faults =
        r -> r.host().equals("store") && pieces.incrementAndGet() > 3 ? Fault.status(503) : null;
    ModelSource oneByOne = source(null, false, hub.endpoint(), 1);
    assertThatThrownBy(() -> oneByOne.resolve(GGUF))
        .isInstanceOfSatisfying(ModelSourceException.class, e -> assertThat(e.retryable()).isTrue())
        .hasMessageContaining("goes on where it was");
    hub.faults = r -> null;
    hub.requests.clear();
    Path file = source().resolve(GGUF);
    assertThat(file).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
    long all = Math.ceilDiv(size("model.gguf"), PIECE);
    assertThat(hub.count("store", "model.gguf")).isEqualTo(all - 3);
  }

  @Test
  void startsAgainWhenThePartIsOfOtherContent() throws IOException {
    Path folder = cache.resolve("hub/acme--tiny").resolve(HubStandIn.COMMIT);
    Files.createDirectories(folder);
    Files.write(folder.resolve("model.gguf.part"), new byte[(int) size("model.gguf")]);
    Files.writeString(folder.resolve("model.gguf.pieces"), "another hash 1 2\n0\n1\n2\n");
    assertThat(source().resolve(GGUF)).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
  }

  @ParameterizedTest
  @ValueSource(ints = {429, 500, 502, 503, 504})
  void triesAgainWhenTheHubIsOverloaded(int status) {
    Set<HubStandIn.Request> seen = ConcurrentHashMap.newKeySet();
    hub.faults = r -> seen.add(r) ? Fault.retryAfter(status, 0) : null;
    assertThat(source().resolve(FOLDER)).exists();
  }

  @ParameterizedTest
  @ValueSource(ints = {429, 503})
  void givesUpInTheEnd(int status) {
    hub.faults = r -> Fault.status(status);
    assertThatThrownBy(() -> source().resolve(FOLDER))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining(String.valueOf(status))
        .hasMessageContaining("3 attempts");
    assertThat(hub.requests).hasSize(3);
  }

  @Test
  void triesAgainWhenABodyBreaksOff() {
    AtomicInteger pieces = new AtomicInteger();
    hub.faults =
        r -> r.host().equals("store") && pieces.incrementAndGet() <= 2 ? Fault.cut(1000) : null;
    assertThat(source().resolve(GGUF)).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
  }

  @Test
  void triesAgainWhenAConnectionFallsSilent() {
    AtomicInteger pieces = new AtomicInteger();
    hub.faults =
        r -> r.host().equals("store") && pieces.incrementAndGet() == 2 ? Fault.silence() : null;
    assertThat(source().resolve(GGUF)).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"model.gguf", "config.json"})
  void deletesAFileWithTheWrongChecksum(String name) {
    byte[] content = new byte[(int) size(name)];
    new Random(1).nextBytes(content);
    hub.replaceSilently(name, content);
    String uri = name.equals("config.json") ? FOLDER : GGUF;
    assertThatThrownBy(() -> source().resolve(uri))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining(name)
        .hasMessageContaining("checksum");
    assertThat(leftovers()).noneMatch(p -> p.getFileName().toString().startsWith(name));
  }

  @Test
  void refusesAMirrorThatIgnoresRanges() {
    hub.faults = r -> r.host().equals("store") ? Fault.ranges() : null;
    assertThatThrownBy(() -> source().resolve(GGUF))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("where a part was asked for");
  }

  @Test
  void explainsAPrivateModel() {
    hub.token = "hf_right";
    assertThatThrownBy(() -> source().resolve(FOLDER))
        .hasMessageContaining("401")
        .hasMessageContaining("set HF_TOKEN");
    assertThatThrownBy(() -> source("hf_wrong", false, hub.endpoint()).resolve(FOLDER))
        .hasMessageContaining("401")
        .hasMessageNotContaining("hf_wrong");
    assertThat(hub.requests).hasSize(2);
  }

  @Test
  void explainsAGatedModel() {
    hub.faults = r -> Fault.status(403);
    assertThatThrownBy(() -> source().resolve(FOLDER)).hasMessageContaining("licence");
  }

  @Test
  void explainsWhatDoesNotExist() {
    assertThatThrownBy(() -> source().resolve("hf://acme/nothing"))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("404");
    assertThatThrownBy(() -> source().resolve("hf://acme/tiny/nothing.gguf"))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("no file nothing.gguf")
        .hasMessageContaining("model.gguf");
  }

  @Test
  void explainsWhatToDoWithoutANetwork() {
    URI nobody = URI.create("http://localhost:1");
    assertThatThrownBy(() -> source(null, false, nobody).resolve(FOLDER))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("cannot be reached")
        .hasMessageContaining("builtin:kvdrive-tiny-32k");
    assertThatThrownBy(() -> source(null, true, hub.endpoint()).resolve(FOLDER))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("HF_HUB_OFFLINE");
    assertThat(hub.requests).isEmpty();
  }

  @Test
  void knowsTheSizesFromHeadersAlone() {
    assertThat(source().geometry(GGUF))
        .isEqualTo(ModelLoader.geometry(Golden.file("llama-mixed.gguf")))
        .satisfies(g -> assertThat(g.weightBytes()).isPositive());
    assertThat(source().geometry(FOLDER))
        .usingRecursiveComparison()
        .ignoringFields("name")
        .isEqualTo(ModelLoader.geometry(Golden.file("llama")));
    assertThat(hub.count("store", "safetensors")).isZero();
    assertThat(cache.resolve("hub")).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "/model.gguf"})
  void theCalibrationOfAnIndexComesWithTheWeights(String file) throws IOException {
    assertThat(source().geometry(FOLDER + file).calibrated()).isFalse();
    byte[] calibration = {1, 2, 3};
    hub.put(
        file.isEmpty() ? IndexSidecar.NAME : IndexSidecar.besideGguf("model.gguf"), calibration);

    assertThat(source().geometry(FOLDER + file).calibrated()).isTrue();
    assertThat(IndexSidecar.of(source().resolve(FOLDER + file))).hasBinaryContent(calibration);
  }

  private long size(String name) {
    try {
      return Files.size(
          name.equals("model.gguf")
              ? Golden.file("llama-mixed.gguf")
              : Golden.file("llama").resolve(name));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Files that are not models: parts and journals. */
  private List<Path> leftovers() {
    try (Stream<Path> files = Files.walk(cache)) {
      return files
          .filter(p -> p.toString().endsWith(".part") || p.toString().endsWith(".pieces"))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

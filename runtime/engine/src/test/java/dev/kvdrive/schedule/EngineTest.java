package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Device;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/**
 * Tests of everything between the device SPI and the server, on any device: a small random model,
 * engines of any shape, and the check that nothing of them is left afterwards. A device's module
 * runs the subclasses from one file, as {@code ReferenceDeviceEngineTest} does.
 */
public abstract class EngineTest {
  static final long CAPACITY = 64L << 20;
  private static final Set<Path> KEPT = Set.of(Path.of("kvdrive.lock"), Path.of("kvdrive.writes"));

  @TempDir Path directory;

  Model model;
  Device device;
  final Tokenizer tokenizer = new LetterTokenizer();
  private final List<KvDriveEngine> engines = new ArrayList<>();

  /**
   * Opens the device.
   *
   * @param hostBytes cap of its host memory
   * @param threads threads it shall compute with, where that can be chosen
   */
  protected abstract Device open(long capacityBytes, long hostBytes, int threads);

  final Device open(long capacityBytes, int threads) {
    return open(capacityBytes, Long.MAX_VALUE, threads);
  }

  @BeforeEach
  void openModel() {
    model = ModelLoader.open(Golden.file("llama3"), 0, ModelLoader.Verification.FULL);
    device = open(CAPACITY, 2);
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    engines.forEach(KvDriveEngine::close);
    assertNothingIsLeft();
    device.close();
    model.close();
    assertNoThreads("kvdrive-");
  }

  /** Every byte of every tier is free and every thread of an engine has ended. */
  void assertNothingIsLeft() throws IOException {
    assertThat(device.usedBytes()).as("device bytes left").isZero();
    assertThat(device.hostBytes()).as("host bytes left").isZero();
    assertThat(nvmeFiles()).as("files left").isEmpty();
    assertNoThreads("kvdrive-engine", "kvdrive-mailbox", "kvdrive-nvme");
  }

  private static void assertNoThreads(String... prefixes) {
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      for (String prefix : prefixes) {
        assertThat(thread.getName()).as("threads left").doesNotStartWith(prefix);
      }
    }
  }

  /** Files of the NVMe tier other than its lock and its record of what was written. */
  List<Path> nvmeFiles() throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files
          .filter(file -> Files.isRegularFile(file) && !KEPT.contains(file.getFileName()))
          .toList();
    }
  }

  KvDriveEngine start(EngineShape shape) {
    return start(settings(shape));
  }

  KvDriveEngine start(EngineSettings settings) {
    KvDriveEngine engine = KvDriveEngine.start(model, tokenizer, device, settings);
    engines.add(engine);
    return engine;
  }

  /** In which form extents are on NVMe in a sweep; every other engine's are encrypted otherwise. */
  private static final @Nullable String SWEEP_ENCRYPTION = System.getProperty("kvdrive.encryption");

  /** That of an engine of a sweep. */
  static NvmeEncryption form(int engine) {
    return SWEEP_ENCRYPTION == null
        ? engine % 2 == 0 ? NvmeEncryption.AES_GCM : NvmeEncryption.NONE
        : NvmeEncryption.parse(SWEEP_ENCRYPTION);
  }

  /** How often what the longest requests here write may be written in a day; 0 for no limit. */
  static final double SWEEP_WRITES = Double.parseDouble(System.getProperty("kvdrive.writes", "0"));

  /** Bytes that requests of so many tokens take at most, so often; 0 for no limit. */
  static long writes(EngineSizes sizes, int tokens, double often) {
    return (long) (often * sizes.fullExtents(tokens) * sizes.layout().extentBytes());
  }

  EngineSettings settings(EngineShape shape) {
    return shape.settings(model.geometry(), device, directory);
  }

  /** A request that is answered with {@code maxTokens} tokens. */
  static GenerationRequest request(String id, int[] prompt, Sampling sampling, int maxTokens) {
    return new GenerationRequest(
        id,
        Arrays.stream(prompt).boxed().toList(),
        sampling,
        maxTokens,
        Set.of(),
        List.of(),
        2,
        true);
  }

  /** A greedy request with a random prompt. */
  static GenerationRequest request(String id, int promptTokens, int maxTokens) {
    return request(id, prompt(id.hashCode(), promptTokens), Sampling.GREEDY, maxTokens);
  }

  /** Draws that depend on every bit of a probability. */
  static Sampling random(long seed) {
    return new Sampling(1.1, 0, 1, 0, 1, 0, 0, seed);
  }

  /** Random tokens without the one that ends a text. */
  static int[] prompt(long seed, int tokens) {
    SplittableRandom random = new SplittableRandom(seed);
    return random.ints(tokens, LetterTokenizer.END + 1, LetterTokenizer.VOCABULARY).toArray();
  }

  Recorder generate(InferenceEngine engine, GenerationRequest request) {
    Recorder recorder = new Recorder();
    engine.submit(request, recorder);
    return recorder.await();
  }

  /**
   * Checks that a generation said what another said: on a device that is exact to the bit with the
   * same probabilities, too.
   */
  void assertSame(String what, List<GeneratedToken> actual, List<GeneratedToken> expected) {
    if (device.bitExact()) {
      assertThat(actual).as(what).isEqualTo(expected);
    } else {
      assertThat(actual.stream().map(GeneratedToken::id))
          .as(what)
          .isEqualTo(expected.stream().map(GeneratedToken::id).toList());
    }
  }

  /** Checks that requests are answered as expected, submitted at once in a random order. */
  void compare(
      String what,
      KvDriveEngine engine,
      Map<String, List<GeneratedToken>> expected,
      List<GenerationRequest> requests,
      SplittableRandom random) {
    List<GenerationRequest> order = new ArrayList<>(requests);
    for (int i = order.size() - 1; i > 0; i--) {
      order.set(i, order.set(random.nextInt(i + 1), order.get(i)));
    }
    Map<String, Recorder> recorders = new HashMap<>();
    for (GenerationRequest request : order) {
      Recorder recorder = new Recorder().onToken(token -> assertWithinCaps(engine.status()));
      recorders.put(request.id(), recorder);
      engine.submit(request, recorder);
    }
    recorders.forEach(
        (id, recorder) -> {
          recorder.await().finish();
          assertSame(
              what + ", request " + id, recorder.tokens(), expected.getOrDefault(id, List.of()));
        });
  }

  private static void assertWithinCaps(EngineStatus status) {
    for (EngineStatus.Tier tier : status.tiers()) {
      assertThat(tier.usedBytes())
          .as("bytes used of %s", tier)
          .isBetween(tier.kvBytes(), tier.capacityBytes());
    }
  }
}

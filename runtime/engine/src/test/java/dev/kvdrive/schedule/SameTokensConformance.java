package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Invariant 1: for a budget, the tokens and their probabilities are the same whatever the sizes of
 * the tiers, the batch, the prefill blocks, the threads, the micro-batches, with or without
 * pipeline and graphs.
 *
 * <p>The number of random combinations is the system property {@code kvdrive.combinations}. With
 * 200:
 *
 * <pre>
 *   mvn -pl runtime/backend-cpu -am test -Dtest='CpuDeviceEngineTest*' \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Dkvdrive.combinations=200
 * </pre>
 */
public abstract class SameTokensConformance extends EngineTest {
  private static final int COMBINATIONS = Integer.getInteger("kvdrive.combinations", 10);
  private static final double[] BUDGETS = {1, 0.5, 0.2, 0.0625};

  /** What a request "some chunks" has more of in its answer, and "long" from the beginning. */
  private static final int DENSE_CHUNKS = 8;

  /** Requests that are in the sink, in the ring, about to close chunks, and long. */
  static List<GenerationRequest> requests() {
    return List.of(
        request("in the sink", prompt(1, 2), random(1), 20),
        request("in the ring", prompt(2, 60), Sampling.GREEDY, 24),
        request("at a border", prompt(3, 75), random(3), 20),
        request("some chunks", prompt(4, 131), random(4), 18),
        request("long", prompt(5, 220), random(5), 20));
  }

  private List<GeneratedToken> alone(double budget, KvType type, String request) {
    return alone(budget, type).getOrDefault(request, List.of());
  }

  /** What each request is answered, alone on an engine that has room for everything. */
  private Map<String, List<GeneratedToken>> alone(double budget, KvType type) {
    return alone(budget, type, Formats.of(type), PolicyShape.KVDRIVE);
  }

  private Map<String, List<GeneratedToken>> alone(
      double budget, KvType type, Formats chunks, PolicyShape policy) {
    return alone(budget, type, chunks, policy, 0);
  }

  private Map<String, List<GeneratedToken>> alone(
      double budget, KvType type, Formats chunks, PolicyShape policy, int dense) {
    Map<String, List<GeneratedToken>> answers = new HashMap<>();
    EngineShape shape =
        EngineShape.roomy(budget)
            .withType(type)
            .withChunks(chunks)
            .withPolicy(policy)
            .withDense(dense);
    try (KvDriveEngine engine = start(shape)) {
      for (GenerationRequest request : requests()) {
        answers.put(request.id(), generate(engine, request).tokens());
      }
      assertThat(engine.status().nvmeMisses()).isZero();
    }
    return answers;
  }

  /** Clusters of 16 tokens in segments of 64: a prompt of the tests has several. */
  private static final PolicyShape ESTIMATING =
      PolicyShape.KVDRIVE.withIndex(
          new IndexShape(
              PolicyShape.KVDRIVE.summary(),
              new ClusterFormat(16, 64, ClusterFormat.Members.TOKENS, 4)));

  @Test
  void randomCombinationsGiveTheSameTokens() {
    randomCombinations(2026, PolicyShape.KVDRIVE);
  }

  @Test
  void randomCombinationsGiveTheSameTokensWhereTheRestIsEstimated() {
    randomCombinations(2027, ESTIMATING);
  }

  @Test
  void aSequenceAttendsEverythingUpToTheDenseLengthAndThenChooses() {
    Map<String, List<GeneratedToken>> exact = alone(1, KvType.F32);
    Map<String, List<GeneratedToken>> sparse = alone(0.0625, KvType.F32);
    EngineShape shape = EngineShape.tight(0.0625).withDense(DENSE_CHUNKS);
    try (KvDriveEngine engine = start(shape)) {
      GenerationUsage usage =
          generate(engine, request("below", prompt(4, 110), random(4), 18)).finish().usage();
      assertThat(usage.attendedTokens()).isEqualTo(usage.contextTokens());
      usage = generate(engine, requests().get(3)).finish().usage();
      assertThat(usage.attendedTokens()).isLessThan(usage.contextTokens());
      assertSame(
          "long",
          generate(engine, requests().get(4)).tokens(),
          sparse.getOrDefault("long", List.of()));
    }
    List<GeneratedToken> crossing =
        alone(0.0625, KvType.F32, Formats.of(KvType.F32), PolicyShape.KVDRIVE, DENSE_CHUNKS)
            .getOrDefault("some chunks", List.of());
    assertThat(crossing.getFirst())
        .isEqualTo(exact.getOrDefault("some chunks", List.of()).getFirst());
    assertThat(exact.get("some chunks")).isNotEqualTo(sparse.get("some chunks"));
  }

  @Test
  void anEstimateChangesSparseStepsAndNoneThatAttendsEverything() {
    assertThat(alone(0.0625, KvType.F32, Formats.of(KvType.F32), ESTIMATING).get("long"))
        .isNotEqualTo(
            alone(0.0625, KvType.F32, Formats.of(KvType.F32), PolicyShape.KVDRIVE).get("long"));
    assertThat(alone(1, KvType.F32, Formats.of(KvType.F32), ESTIMATING))
        .isEqualTo(alone(1, KvType.F32, Formats.of(KvType.F32), PolicyShape.KVDRIVE));
  }

  private void randomCombinations(long seed, PolicyShape policy) {
    SplittableRandom random = new SplittableRandom(seed);
    Map<String, Map<String, List<GeneratedToken>>> baselines = new HashMap<>();
    long nvmeMisses = 0;
    long dramMisses = 0;
    for (int i = 0; i < COMBINATIONS; i++) {
      double budget = BUDGETS[i % BUDGETS.length];
      KvType type = random.nextInt(3) == 0 ? KvType.BF16 : KvType.F32;
      Formats chunks = chunks(random, type);
      int dense = random.nextInt(2) * DENSE_CHUNKS;
      Map<String, List<GeneratedToken>> expected =
          baselines.computeIfAbsent(
              budget + " " + type + " " + chunks + " " + dense,
              key -> alone(budget, type, chunks, policy, dense));
      EngineShape shape =
          combination(random, budget, type).withChunks(chunks).withPolicy(policy).withDense(dense);
      Device before = device;
      device = open(CAPACITY, 1 + random.nextInt(4));
      before.close();
      WindowOptions windows = windows(random);
      try (KvDriveEngine engine = start(divided(settings(shape), windows))) {
        compare(
            "combination " + i + ": " + shape + ", " + windows,
            engine,
            expected,
            requests(),
            random);
        EngineStatus status = engine.status();
        nvmeMisses += status.nvmeMisses();
        dramMisses += status.dramMisses();
      }
    }
    assertThat(dramMisses).isPositive();
    assertThat(nvmeMisses).isPositive();
  }

  @Test
  void whatIsEncryptedOnNvmeChangesNoToken() {
    for (double budget : BUDGETS) {
      Map<String, List<GeneratedToken>> expected = alone(budget, KvType.F32);
      EngineShape shape = EngineShape.tight(budget).withEncryption(NvmeEncryption.AES_GCM);
      try (KvDriveEngine engine = start(shape)) {
        compare("budget " + budget, engine, expected, requests(), new SplittableRandom(2029));
        assertThat(engine.status().nvmeEncryption()).isEqualTo(NvmeEncryption.AES_GCM);
        assertThat(engine.status().nvmeMisses()).isPositive();
      }
    }
  }

  /** Settings of a shape whose steps keep a share of their attention. */
  private EngineSettings keeping(EngineShape shape, @Nullable Double quality) {
    EngineSettings settings = settings(shape);
    return settings.withSizes(
        settings.sizes().attending(a -> a.withBudget(new Budget(a.budget().share(), quality))));
  }

  @Test
  void whatIsEnoughForAQualityGivesTheSameTokensWhateverTiersAndBatch() {
    SplittableRandom random = new SplittableRandom(2028);
    Map<String, Map<String, List<GeneratedToken>>> baselines = new HashMap<>();
    for (int i = 0; i < COMBINATIONS; i++) {
      double bound = i % 2 == 0 ? 1 : 0.5;
      double quality = 0.9;
      int dense = random.nextInt(2) * DENSE_CHUNKS;
      PolicyShape policy = i % 3 == 0 ? ESTIMATING : PolicyShape.KVDRIVE;
      Map<String, List<GeneratedToken>> expected =
          baselines.computeIfAbsent(
              bound + " " + dense + " " + policy,
              key -> {
                Map<String, List<GeneratedToken>> answers = new HashMap<>();
                EngineShape roomy = EngineShape.roomy(bound).withPolicy(policy).withDense(dense);
                try (KvDriveEngine engine = start(keeping(roomy, quality))) {
                  requests().forEach(r -> answers.put(r.id(), generate(engine, r).tokens()));
                }
                return answers;
              });
      EngineShape shape =
          combination(random, bound, KvType.F32).withPolicy(policy).withDense(dense);
      WindowOptions windows = windows(random);
      try (KvDriveEngine engine = start(divided(keeping(shape, quality), windows))) {
        String label = "combination " + i + ": " + shape + ", " + windows;
        compare(label, engine, expected, requests(), random);
      }
    }
  }

  @Test
  void theMoreIsToBeKeptTheMoreIsAttendedUpToTheBoundAndToEverything() {
    GenerationRequest request = requests().getLast();
    List<Double> qualities = List.of(0.2, 0.5, 0.8, 0.95, 0.999999);
    for (double bound : new double[] {0.2, 1}) {
      long before = 0;
      for (double quality : qualities) {
        try (KvDriveEngine engine = start(keeping(EngineShape.roomy(bound), quality))) {
          Recorder recorder = generate(engine, request);
          long attended = recorder.finish().usage().attendedTokens();
          assertThat(attended).as("%s of %s", quality, bound).isGreaterThanOrEqualTo(before);
          before = attended;
        }
      }
      try (KvDriveEngine engine = start(EngineShape.roomy(bound))) {
        // But for chunks with less than a millionth of the attention.
        long all = generate(engine, request).finish().usage().attendedTokens();
        assertThat(before).isBetween(all - all / 50, all);
      }
    }
  }

  /** Two sequences, one of which attends as many chunks as its budget says. */
  @Test
  void aQualityOfOneRequestChangesNothingForAnother() {
    EngineShape shape = EngineShape.tight(0.2);
    GenerationRequest plain = requests().getLast();
    try (KvDriveEngine engine = start(shape)) {
      Recorder other = new Recorder();
      GenerationRequest kept = plain.withBudget("kept", new Budget(0.2, 0.5));
      engine.submit(kept, other);
      assertSame("beside it", generate(engine, plain).tokens(), alone(0.2, KvType.F32, "long"));
      other.await();
      assertThat(other.finish().usage().attendedTokens())
          .isLessThan(generate(engine, plain).finish().usage().attendedTokens());
    }
  }

  @Test
  void measuringWhatIsLeftOutChangesNoToken() {
    for (int frames : new int[] {0, 10_000}) {
      EngineShape shape = EngineShape.tight(0.2).withFrames(frames);
      Accuracy sparse = measured(shape, alone(0.2, KvType.F32));
      if (frames > 0) {
        assertThat(sparse.samples()).isPositive();
        assertThat(sparse.massMissed()).isBetween(0.001, 0.999);
        assertThat(sparse.outputError()).isPositive();
      }
    }
  }

  /** So keys and values are read as the step has them, from wherever they are. */
  @Test
  void whereEverythingIsAttendedNothingIsMissedAndTheErrorIsRounding() {
    for (Formats chunks :
        List.of(
            Formats.of(KvType.F32),
            new Formats(ChunkFormat.F32, ChunkFormat.INT8),
            new Formats(ChunkFormat.INT8, ChunkFormat.INT8))) {
      Accuracy exact =
          measured(
              EngineShape.tight(1).withFrames(10_000).withChunks(chunks),
              alone(1, KvType.F32, chunks, PolicyShape.KVDRIVE));
      assertThat(exact.samples()).isPositive();
      assertThat(exact.massMissed()).isZero();
      double rounding = device.activationType() == ElementType.F32 ? 1e-4 : 2e-2;
      assertThat(exact.outputError()).as(chunks.toString()).isLessThan(rounding);
    }
  }

  /** What an engine measures that may do so as often as it can, while it gives these answers. */
  private Accuracy measured(EngineShape shape, Map<String, List<GeneratedToken>> expected) {
    EngineSettings settings = settings(shape);
    try (KvDriveEngine engine = start(settings.withDecode(d -> d.withMeterShare(0.999)))) {
      Accuracy ofRequests = Accuracy.NONE;
      for (GenerationRequest request : requests()) {
        Recorder answer = generate(engine, request);
        assertSame(request.id(), answer.tokens(), expected.getOrDefault(request.id(), List.of()));
        ofRequests = ofRequests.plus(answer.finish().usage().accuracy());
      }
      Accuracy all =
          engine.status().accuracy().values().stream().reduce(Accuracy.NONE, Accuracy::plus);
      assertThat(all.samples()).isEqualTo(ofRequests.samples());
      return all;
    }
  }

  @Test
  void thePolicyThatAttendsEverythingGivesTheTokensOfExactModeWithoutAnIndex() {
    Map<String, List<GeneratedToken>> exact = alone(1, KvType.BF16);
    EngineShape full =
        EngineShape.tight(1).withType(KvType.BF16).withPolicy(PolicyShape.FULL).with(4, true);
    long withIndex = usedBy(full.withPolicy(PolicyShape.KVDRIVE));
    assertThat(usedBy(full)).isLessThan(withIndex);
    try (KvDriveEngine engine = start(full)) {
      compare("policy full", engine, exact, requests(), new SplittableRandom(7));
      assertThat(engine.status().nvmeMisses()).isPositive();
    }
  }

  /** Device memory of an engine. */
  private long usedBy(EngineShape shape) {
    try (KvDriveEngine engine = start(shape)) {
      return engine.status().tiers().getFirst().usedBytes();
    }
  }

  private static EngineSettings divided(EngineSettings settings, WindowOptions windows) {
    return settings.withSizes(settings.sizes().attending(a -> a.withWindows(windows)));
  }

  private static WindowOptions windows(SplittableRandom random) {
    Division[] divisions = Division.values();
    return new WindowOptions(
        divisions[random.nextInt(divisions.length)], random.nextInt(3) * 11, random.nextBoolean());
  }

  @Test
  void windowsThatMoveAndFillAheadGiveTheSameTokensWithMoreHits() {
    Map<String, List<GeneratedToken>> expected = alone(0.2, KvType.F32);
    EngineShape shape = EngineShape.tight(0.2).withFrames(10_000);
    Map<WindowOptions, Double> hits = new HashMap<>();
    WindowOptions plain = new WindowOptions(Division.UNIFORM, 0, false);
    WindowOptions all = new WindowOptions(Division.BY_REUSE, 32, true);
    for (WindowOptions windows : List.of(plain, all)) {
      try (KvDriveEngine engine = start(divided(settings(shape), windows))) {
        for (GenerationRequest request : requests()) {
          // One after the other: the second and third seat lend their slots.
          assertSame(
              windows + ", " + request.id(),
              generate(engine, request).tokens(),
              expected.getOrDefault(request.id(), List.of()));
        }
        EngineStatus status = engine.status();
        hits.put(windows, (double) status.hits() / (status.hits() + status.dramMisses()));
        assertThat(status.prefetchedHits()).isLessThanOrEqualTo(status.prefetched());
        if (windows.prefetch()) {
          assertThat(status.prefetchedHits()).isPositive().isLessThan(status.hits());
        } else {
          assertThat(status.prefetched()).isZero();
        }
      }
    }
    assertThat(hits.get(all)).isGreaterThan(hits.get(plain));
  }

  static EngineShape combination(SplittableRandom random, double budget, KvType type) {
    int pass = 1 + random.nextInt(12);
    return EngineShape.roomy(budget)
        .withType(type)
        .withSeats(1 + random.nextInt(5))
        .withWindow(pass + random.nextInt(12), pass)
        .withBlock(new int[] {1, 7, 16, 50, 64, 256}[random.nextInt(6)])
        .withExtents(1 + random.nextInt(4))
        .withFrames(random.nextInt(4) == 0 ? 10_000 : random.nextInt(40))
        .withThreads(1 + random.nextInt(4))
        .with(random.nextInt(3) * 2, random.nextBoolean())
        .withEncryption(random.nextBoolean() ? NvmeEncryption.AES_GCM : NvmeEncryption.NONE);
  }

  private static Formats chunks(SplittableRandom random, KvType type) {
    ChunkFormat plain = ChunkFormat.of(type);
    return switch (random.nextInt(4)) {
      case 0 -> new Formats(plain, ChunkFormat.INT8);
      case 1 -> new Formats(ChunkFormat.INT8, ChunkFormat.INT8);
      default -> Formats.of(type);
    };
  }

  @Test
  void whatIsAttendedDoesMatter() {
    // Otherwise the equalities here would prove nothing.
    Map<String, List<GeneratedToken>> exact = alone(1, KvType.F32);
    assertThat(alone(0.2, KvType.F32).get("long")).isNotEqualTo(exact.get("long"));
    assertSame(
        "all attended",
        alone(0.2, KvType.F32, "in the ring"),
        exact.getOrDefault("in the ring", List.of()));
    for (ChunkFormat resident : List.of(ChunkFormat.F32, ChunkFormat.INT8)) {
      Map<String, List<GeneratedToken>> coded =
          alone(1, KvType.F32, new Formats(resident, ChunkFormat.INT8), PolicyShape.KVDRIVE);
      assertThat(coded.get("long")).as("%s from int8", resident).isNotEqualTo(exact.get("long"));
      assertSame(
          "no chunk has closed",
          coded.getOrDefault("in the sink", List.of()),
          exact.getOrDefault("in the sink", List.of()));
    }
    List<GeneratedToken> rounded = alone(1, KvType.BF16, "in the ring");
    if (device.activationType() == ElementType.F32) {
      assertThat(rounded).isNotEqualTo(exact.getOrDefault("in the ring", List.of()));
    } else {
      // Keys and values are BF16 before they are stored, so that storing them so loses nothing. But
      // where they are BF16, units for matrices may round a prompt's weights too: later tokens
      // stray.
      int alike = device.bitExact() ? rounded.size() : 1;
      assertSame(
          "nothing rounded twice",
          rounded.subList(0, alike),
          exact.getOrDefault("in the ring", List.of()).subList(0, alike));
    }
  }

  @Test
  void aSeedMeansTheSameTokensInAnyBatch() {
    GenerationRequest request = request("seeded", prompt(9, 100), random(42), 16);
    EngineShape shape = EngineShape.tight(1).withSeats(4);
    try (KvDriveEngine engine = start(shape)) {
      List<GeneratedToken> alone = generate(engine, request).tokens();
      List<Recorder> others = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        others.add(new Recorder());
        engine.submit(request("other " + i, prompt(i, 90), random(i), 30), others.getLast());
      }
      assertSame("beside three others", generate(engine, request).tokens(), alone);
      others.forEach(Recorder::await);
      List<GeneratedToken> otherSeed =
          generate(engine, request("seeded", prompt(9, 100), random(43), 16)).tokens();
      assertThat(otherSeed).isNotEqualTo(alone);
    }
  }
}

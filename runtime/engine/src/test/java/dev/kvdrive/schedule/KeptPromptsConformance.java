package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.tier.FaultyFiles;
import dev.kvdrive.kv.tier.FaultyFiles.Fault;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.WindowOptions.Division;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/**
 * What was made of a prompt is found by prompts that begin alike, from wherever it is; no token
 * depends on it, nobody else finds it, and it keeps nobody from anything.
 */
public abstract class KeptPromptsConformance extends EngineTest {
  private static final int COMBINATIONS = Integer.getInteger("kvdrive.combinations", 10);

  /** A text that several prompts begin with, or begin with a part of. */
  private static final int[] TEXT = prompt(77, 200);

  private static int[] join(int[] first, int length, int[] second) {
    int[] all = Arrays.copyOf(first, length + second.length);
    System.arraycopy(second, 0, all, length, second.length);
    return all;
  }

  /** Prompts that are the text, parts of it, and go on from it; others have nothing of it. */
  private static List<GenerationRequest> requests() {
    return List.of(
        request("text", TEXT, random(1), 10),
        request("again", TEXT, random(2), 12),
        request("part", Arrays.copyOf(TEXT, 150), random(3), 14),
        request("goes on", join(TEXT, 200, prompt(1, 30)), random(4), 10),
        request("goes on otherwise", join(TEXT, 160, prompt(2, 60)), Sampling.GREEDY, 10),
        request("a word in the middle", join(TEXT, 90, prompt(3, 120)), random(6), 10),
        request("short", prompt(4, 40), random(7), 20),
        request("another", prompt(5, 220), random(8), 12));
  }

  private Map<String, List<GeneratedToken>> expected(EngineShape shape) {
    Map<String, List<GeneratedToken>> answers = new HashMap<>();
    try (KvDriveEngine engine = start(shape)) {
      for (GenerationRequest request : requests()) {
        Recorder recorder = generate(engine, request);
        assertThat(recorder.finish().usage().reusedTokens()).isZero();
        answers.put(request.id(), recorder.tokens());
      }
    }
    return answers;
  }

  private EngineSettings keeping(EngineShape shape) {
    return settings(shape).withScheduling(scheduling -> scheduling.withKeepsPrompts(true));
  }

  private static Formats chunks(SplittableRandom random, KvType type) {
    ChunkFormat plain = ChunkFormat.of(type);
    return switch (random.nextInt(3)) {
      case 0 -> new Formats(plain, ChunkFormat.INT8);
      case 1 -> new Formats(ChunkFormat.INT8, ChunkFormat.INT8);
      default -> Formats.of(type);
    };
  }

  @Test
  void promptsThatBeginAlikeGiveTheSameTokensWithLessToCompute() {
    SplittableRandom random = new SplittableRandom(2030);
    List<PolicyShape> policies = PolicyShape.all();
    List<Division> divisions = List.of(Division.values());
    long reused = 0;
    long fromNvme = 0;
    for (int i = 0; i < COMBINATIONS; i++) {
      double budget = new double[] {0.2, 1, 0.0625}[i % 3];
      KvType type = random.nextBoolean() ? KvType.BF16 : KvType.F32;
      PolicyShape policy =
          budget < 1 && random.nextBoolean()
              ? policies.get(random.nextInt(policies.size()))
              : PolicyShape.KVDRIVE;
      if (!policy.selects()) {
        policy = PolicyShape.KVDRIVE;
      }
      Formats chunks = chunks(random, type);
      PolicyShape of = policy;
      Map<String, List<GeneratedToken>> expected =
          expected(EngineShape.roomy(budget).withType(type).withChunks(chunks).withPolicy(of));
      EngineShape shape =
          SameTokensConformance.combination(random, budget, type)
              .withChunks(chunks)
              .withPolicy(of)
              .withBlock(new int[] {16, 50, 64}[random.nextInt(3)]);
      WindowOptions windows =
          new WindowOptions(
              divisions.get(random.nextInt(divisions.size())),
              random.nextInt(3) * 11,
              random.nextBoolean());
      EngineSettings settings = keeping(shape);
      settings = settings.withSizes(settings.sizes().attending(a -> a.withWindows(windows)));
      String what = "combination " + i + ": " + shape + ", " + windows;
      try (KvDriveEngine engine = start(settings)) {
        for (int round = 0; round < 2; round++) {
          compare(what + ", at once", engine, expected, requests(), random);
          for (GenerationRequest request : requests()) {
            Recorder recorder = generate(engine, request);
            assertSame(
                what + ", " + request.id(),
                recorder.tokens(),
                expected.getOrDefault(request.id(), List.of()));
            reused += recorder.finish().usage().reusedTokens();
          }
        }
        fromNvme += engine.status().nvmeMisses();
      }
    }
    assertThat(reused).isPositive();
    assertThat(fromNvme).isPositive();
  }

  @Test
  void aPromptFindsAsMuchAsItHasInCommonAndAtMostWhatIsClosed() {
    EngineShape shape = EngineShape.roomy(0.2).withBlock(16).withExtents(2);
    try (KvDriveEngine engine = start(keeping(shape))) {
      // Extents of 16 tokens behind a sink of 4; 64 tokens at the end are not closed.
      assertThat(reused(engine, request("first", TEXT, random(1), 4))).isZero();
      assertThat(reused(engine, request("again", TEXT, random(2), 4))).isEqualTo(4 + 16 * 8);
      assertThat(reused(engine, request("on", join(TEXT, 200, prompt(1, 30)), random(3), 4)))
          .isEqualTo(4 + 16 * 8);
      assertThat(reused(engine, request("part", Arrays.copyOf(TEXT, 150), random(4), 4)))
          .isEqualTo(4 + 16 * 5);
      assertThat(reused(engine, request("some", join(TEXT, 90, prompt(2, 120)), random(5), 4)))
          .isEqualTo(4 + 16 * 5);
      assertThat(reused(engine, request("little", join(TEXT, 10, prompt(3, 120)), random(6), 4)))
          .isZero();
      assertThat(reused(engine, request("other", prompt(4, 200), random(7), 4))).isZero();
    }
  }

  private int reused(KvDriveEngine engine, GenerationRequest request) {
    return generate(engine, request).finish().usage().reusedTokens();
  }

  @Test
  void nothingIsFoundUnlessItIsAskedForAndByNoOtherTenant() {
    EngineShape shape = EngineShape.roomy(0.2).withBlock(16).withSeats(2);
    GenerationRequest request = request("text", TEXT, random(1), 4);
    try (KvDriveEngine engine = start(shape)) {
      assertThat(reused(engine, request)).isZero();
      assertThat(reused(engine, request)).isZero();
    }
    try (KvDriveEngine engine = start(keeping(shape))) {
      assertThat(reused(engine, request.ofTenant("a"))).isZero();
      assertThat(reused(engine, request.ofTenant("b"))).isZero();
      assertThat(reused(engine, request.ofTenant("a"))).isPositive();
      assertThat(reused(engine, request)).isZero();
    }
  }

  /** Two sequences with one text, at once, take hardly more room than one. */
  @Test
  void whatIsInCommonIsThereOnce() {
    EngineShape shape = EngineShape.roomy(1).withBlock(16).withSeats(3);
    AtomicLong alone = new AtomicLong();
    AtomicLong beside = new AtomicLong();
    // Decoding and the second's prompt take turns by the time they need: now and then the first has
    // ended before the second begins, and nothing was seen.
    for (int i = 0; i < 20 && beside.get() == 0; i++) {
      meet(keeping(shape), alone, beside);
    }
    assertThat(beside.get()).isGreaterThan(alone.get()).isLessThan(alone.get() * 3 / 2);
  }

  private void meet(EngineSettings settings, AtomicLong alone, AtomicLong beside) {
    try (KvDriveEngine engine = start(settings)) {
      Recorder first = new Recorder();
      Recorder second = new Recorder();
      first.onToken(
          token -> {
            if (first.tokens().size() == 3) {
              alone.set(kvBytes(engine));
              engine.submit(request("second", TEXT, random(2), 4), second);
            }
          });
      second.onToken(
          token -> {
            if (!first.ended()) {
              beside.accumulateAndGet(kvBytes(engine), Math::max);
            }
          });
      engine.submit(request("first", TEXT, random(1), 50), first);
      first.await().finish();
      assertThat(second.await().finish().usage().reusedTokens()).isEqualTo(4 + 16 * 8);
    }
  }

  private static long kvBytes(KvDriveEngine engine) {
    return engine.status().tiers().get(1).kvBytes();
  }

  /** Three sequences of which only one would fit if each had all of its own. */
  @Test
  void whatIsInCommonIsPromisedOnce() {
    EngineShape shape = EngineShape.roomy(1).withBlock(16).withSeats(3);
    EngineSettings all = keeping(shape);
    long one = all.sizes().extents(TEXT.length + 40);
    EngineSettings tight =
        all.withSizes(
            withFrames(
                all.sizes(),
                (int)
                    Math.max(
                        one + all.sizes().layout().heads() * 3 * 4L,
                        (3L * all.sizes().layout().layers() + 1)
                            * all.sizes().layout().kvHeads())));
    try (KvDriveEngine engine = start(tight)) {
      generate(engine, request("kept", TEXT, random(9), 2)).finish();
      List<Recorder> recorders = new ArrayList<>();
      AtomicInteger atOnce = new AtomicInteger();
      for (int i = 0; i < 3; i++) {
        recorders.add(
            new Recorder()
                .onToken(token -> atOnce.accumulateAndGet(engine.status().running(), Math::max)));
        engine.submit(request("user " + i, TEXT, random(i), 40), recorders.getLast());
      }
      for (Recorder recorder : recorders) {
        assertThat(recorder.await().finish().usage().reusedTokens()).isPositive();
      }
      assertThat(atOnce.get()).isGreaterThan(1);
    }
  }

  private static EngineSizes withFrames(EngineSizes sizes, int frames) {
    return new EngineSizes(
        sizes.geometry(),
        sizes.layout(),
        sizes.load(),
        sizes.attention(),
        sizes.activationBytes(),
        sizes.windowSlots(),
        sizes.passChunks(),
        sizes.prefillBlock(),
        sizes.shortPrompt(),
        frames,
        0,
        NvmeEncryption.NONE);
  }

  @Test
  void whatIsKeptKeepsNobodyFromItsRoomAndMakesNobodyWaitForTheDisk() {
    EngineShape shape =
        EngineShape.tight(0.2)
            .withSeats(2)
            .withBlock(16)
            .withTimeouts(Duration.ofMillis(200), Duration.ofSeconds(20));
    FaultyFiles files =
        new FaultyFiles(7, shape.sizes(model.geometry(), device).layout().extentBytes());
    EngineSettings settings = keeping(shape.withFrames(40)).withNvme(nvme -> nvme.withFiles(files));
    Map<String, List<GeneratedToken>> expected = expected(EngineShape.roomy(0.2));
    try (KvDriveEngine engine = start(settings)) {
      for (GenerationRequest request : requests()) {
        assertSame(
            request.id(),
            generate(engine, request).tokens(),
            expected.getOrDefault(request.id(), List.of()));
      }
      // What is kept fills DRAM, and the disk answers nothing.
      files.hold();
      assertSame(
          "short",
          generate(engine, requests().get(6)).tokens(),
          expected.getOrDefault("short", List.of()));
      files.release();
    }
  }

  @Test
  void whatDoesNotComeBackIsComputedAgainAndFoundByNobodyAnyMore() {
    EngineShape shape = EngineShape.tight(0.2).withSeats(1).withBlock(16);
    FaultyFiles files =
        new FaultyFiles(7, shape.sizes(model.geometry(), device).layout().extentBytes());
    List<GeneratedToken> expected =
        expected(EngineShape.roomy(0.2)).getOrDefault("again", List.of());
    try (KvDriveEngine engine = start(keeping(shape).withNvme(nvme -> nvme.withFiles(files)))) {
      files.with(Fault.FLIP_ON_WRITE, 1);
      generate(engine, request("text", TEXT, random(1), 1)).finish();
      files.heal();
      Recorder again = generate(engine, requests().get(1));
      assertSame("again", again.tokens(), expected);
      assertThat(again.finish().usage().reusedTokens()).isZero();
      assertThat(engine.status().failure()).isNull();
      Recorder third = generate(engine, requests().get(1));
      assertSame("once more", third.tokens(), expected);
      assertThat(third.finish().usage().reusedTokens()).isPositive();
    }
  }

  @Test
  void choicesOfAPromptFindItTogether() {
    EngineShape shape = EngineShape.tight(0.2).withBlock(16).withFrames(60);
    Map<String, List<GeneratedToken>> expected = expected(EngineShape.roomy(0.2));
    try (KvDriveEngine engine = start(keeping(shape))) {
      generate(engine, requests().getFirst()).finish();
      List<GenerationRequest> choices = requests().subList(0, 2);
      List<Recorder> recorders = List.of(new Recorder(), new Recorder());
      engine.submit(
          List.of(
              new Submission(choices.getFirst(), recorders.getFirst()),
              new Submission(choices.getLast(), recorders.getLast())));
      for (int i = 0; i < 2; i++) {
        Recorder recorder = recorders.get(i).await();
        assertThat(recorder.finish().usage().reusedTokens()).isPositive();
        assertSame(
            choices.get(i).id(),
            recorder.tokens(),
            expected.getOrDefault(choices.get(i).id(), List.of()));
      }
    }
  }
}

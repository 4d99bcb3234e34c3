package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.tier.FaultyFiles.Fault;
import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import dev.kvdrive.plan.NvmeEncryption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/**
 * Invariants 3 and 4 over random lives of sequences: whatever the tier sizes and whatever fails,
 * every byte that comes back is the one that was written, what does not come has a reason, caps
 * hold at every moment, and nothing is left in the end. The harness compares the bytes.
 */
class TieredStoreProperties {
  private static final int EXTENT_BYTES = 4096;

  /** A store and what is done to it. */
  record Scenario(
      long seed,
      int layers,
      int kvHeads,
      int seats,
      int maxExtents,
      int spareFrames,
      int spareExtents,
      int threads,
      Direct direct,
      NvmeEncryption encryption) {
    int streams() {
      return layers * kvHeads * seats;
    }

    int minimumFrames() {
      return streams() + kvHeads;
    }

    int totalExtents() {
      return streams() * maxExtents;
    }
  }

  @Provide
  Arbitrary<Scenario> scenarios() {
    Arbitrary<int[]> shape =
        Combinators.combine(
                Arbitraries.integers().between(1, 3),
                Arbitraries.integers().between(1, 2),
                Arbitraries.integers().between(1, 3),
                Arbitraries.integers().between(1, 9))
            .as((layers, heads, seats, extents) -> new int[] {layers, heads, seats, extents});
    return Combinators.combine(
            Arbitraries.longs(),
            shape,
            Arbitraries.integers().between(0, 40),
            Arbitraries.integers().between(0, 20),
            Arbitraries.integers().between(1, 4),
            Arbitraries.of(Direct.OFF, Direct.PREFERRED),
            Arbitraries.of(NvmeEncryption.values()))
        .as(
            (seed, s, frames, extents, threads, direct, form) ->
                new Scenario(seed, s[0], s[1], s[2], s[3], frames, extents, threads, direct, form));
  }

  @Property(tries = 120)
  void everyByteComesBackWhereverItLived(@ForAll("scenarios") Scenario scenario)
      throws IOException {
    int frames = scenario.minimumFrames() + scenario.spareFrames();
    // Together they hold everything, down to the last extent when nothing is spare.
    int extents = Math.max(0, scenario.totalExtents() - frames) + scenario.spareExtents();
    FaultyFiles files = new FaultyFiles(scenario.seed(), EXTENT_BYTES);
    run(scenario, frames, extents, files, 60, false);
  }

  @Property(tries = 120)
  void whateverFailsNoWrongByteComesBack(@ForAll("scenarios") Scenario scenario)
      throws IOException {
    Random random = new Random(scenario.seed() ^ 0xfa17);
    FaultyFiles files = new FaultyFiles(scenario.seed(), EXTENT_BYTES);
    for (Fault fault : Fault.values()) {
      if (random.nextInt(3) == 0) {
        files.with(fault, random.nextBoolean() ? 0.02 : 0.3);
      }
    }
    int frames = scenario.minimumFrames() + scenario.spareFrames() / 4;
    int extents = Math.max(0, scenario.totalExtents() - frames) + scenario.spareExtents();
    run(scenario, frames, extents, files, 60, true);
  }

  @Property(tries = 80)
  void tiersTooSmallForAllRefuseAndRecover(@ForAll("scenarios") Scenario scenario)
      throws IOException {
    FaultyFiles files = new FaultyFiles(scenario.seed(), EXTENT_BYTES);
    int frames = scenario.minimumFrames();
    run(scenario, frames, scenario.spareExtents(), files, 60, true);
  }

  /**
   * Prompts that begin alike, of two tenants, whose sequences come, step and go: what is found
   * holds what this very prompt is made of, what is promised fits, and in the end nothing is left.
   */
  @Property(tries = 200)
  void whatIsKeptIsWhatThePromptsWereMadeOf(
      @ForAll("scenarios") Scenario scenario, @ForAll boolean faults) throws IOException {
    Random random = new Random(scenario.seed() ^ 0x5e1f);
    FaultyFiles files = new FaultyFiles(scenario.seed(), EXTENT_BYTES);
    if (faults) {
      List<Fault> kinds = List.of(Fault.values());
      files.with(kinds.get(random.nextInt(kinds.size())), 0.05);
    }
    int frames = scenario.minimumFrames() + scenario.spareFrames() * (1 + random.nextInt(3));
    int extents = Math.max(0, scenario.totalExtents() - frames) + scenario.spareExtents();
    Path directory = Files.createTempDirectory("tiers");
    try (StoreHarness harness =
        new StoreHarness(
            scenario.layers(),
            scenario.kvHeads(),
            scenario.seats(),
            scenario.maxExtents(),
            frames,
            extents,
            new NvmeOptions(
                directory, scenario.direct(), scenario.threads(), Duration.ofSeconds(20)),
            Placement.LEAST_RECENTLY_USED,
            files,
            scenario.encryption())) {
      harness.rings = random.nextBoolean();
      int context = harness.sizes.contextLength();
      for (int i = 0; i < 60; i++) {
        try {
          List<Integer> open = new ArrayList<>(harness.openSeats());
          int choice = random.nextInt(8);
          if (open.size() < scenario.seats() && (open.isEmpty() || choice < 3)) {
            begin(harness, random, open, context);
          } else if (choice == 3) {
            harness.close(open.get(random.nextInt(open.size())));
          } else if (choice == 4) {
            harness.queue.run(random.nextInt(8));
          } else {
            step(harness, random, open, faults);
          }
        } catch (TierException e) {
          refuse(harness, e, faults);
        }
        harness.checkCaps();
      }
      files.heal();
      harness.clearShelves();
      harness.checkNothingLeft();
    }
    Files.deleteIfExists(directory.resolve(ExtentFiles.LOCK_NAME));
    Files.delete(directory);
  }

  /** A sequence whose prompt begins like others, if what it promises fits. */
  private static void begin(StoreHarness harness, Random random, List<Integer> open, int context) {
    int seat = 0;
    while (open.contains(seat)) {
      seat++;
    }
    // Texts of few words, so that many begin alike and some are the same.
    int[] prompt = new int[1 + random.nextInt(context)];
    int words = random.nextInt(4) == 0 ? 2 : 1;
    for (int t = 0; t < prompt.length; t++) {
      prompt[t] = t % 17 == 16 ? random.nextInt(words) : t % 17;
    }
    String tenant = random.nextInt(4) == 0 ? "other" : "tenant";
    Reuse reuse = harness.store.find(tenant, prompt);
    int most = prompt.length + random.nextInt(context - prompt.length + 1);
    if (harness.store.admission().hasRoomFor(most, reuse)) {
      harness.startPrompt(seat, tenant, prompt, most);
    }
  }

  private static void run(
      Scenario scenario,
      int frames,
      int extents,
      FaultyFiles files,
      int actions,
      boolean refusalsAllowed)
      throws IOException {
    Path directory = Files.createTempDirectory("tiers");
    Random random = new Random(scenario.seed());
    try (StoreHarness harness =
        new StoreHarness(
            scenario.layers(),
            scenario.kvHeads(),
            scenario.seats(),
            scenario.maxExtents(),
            frames,
            extents,
            new NvmeOptions(
                directory, scenario.direct(), scenario.threads(), Duration.ofSeconds(20)),
            Placement.LEAST_RECENTLY_USED,
            files,
            scenario.encryption())) {
      harness.rings = random.nextBoolean();
      for (int i = 0; i < actions; i++) {
        try {
          act(harness, scenario, random, refusalsAllowed);
        } catch (TierException e) {
          refuse(harness, e, refusalsAllowed);
        }
        harness.checkCaps();
      }
      harness.checkNothingLeft();
    }
    try (Stream<Path> left = Files.list(directory)) {
      assertThat(left.map(file -> file.getFileName().toString()))
          .allMatch(ExtentFiles.LOCK_NAME::equals);
    }
    Files.deleteIfExists(directory.resolve(ExtentFiles.LOCK_NAME));
    Files.delete(directory);
  }

  private static void act(
      StoreHarness harness, Scenario scenario, Random random, boolean faultsAllowed) {
    List<Integer> open = new ArrayList<>(harness.openSeats());
    int choice = random.nextInt(10);
    if (open.size() < scenario.seats() && (open.isEmpty() || choice < 2)) {
      int seat = 0;
      while (open.contains(seat)) {
        seat++;
      }
      prefill(harness, scenario, random, seat, open, faultsAllowed);
    } else if (choice == 2) {
      harness.close(open.get(random.nextInt(open.size())));
    } else if (choice == 3) {
      harness.queue.run(random.nextInt(8));
    } else {
      step(harness, random, open, faultsAllowed);
    }
  }

  /** Layer by layer and block by block, other sequences stepping in between, perhaps given up. */
  private static void prefill(
      StoreHarness harness,
      Scenario scenario,
      Random random,
      int seat,
      List<Integer> others,
      boolean faultsAllowed) {
    harness.open(seat);
    int tokens = 1 + random.nextInt(harness.sizes.contextLength());
    int chunks = StoreHarness.GRID.closedChunks(tokens);
    for (int layer = 0; layer < scenario.layers(); layer++) {
      for (int at = 0; at < chunks; ) {
        int to = Math.min(chunks, at + 1 + random.nextInt(12));
        harness.prefill(seat, layer, at, to);
        at = to;
        if (random.nextInt(12) == 0) {
          step(harness, random, others, faultsAllowed);
        }
        if (random.nextInt(25) == 0) {
          harness.close(seat);
          return;
        }
        if (random.nextBoolean()) {
          harness.queue.run(random.nextInt(4));
        }
      }
    }
    harness.prefilled(seat, tokens);
  }

  private static void step(
      StoreHarness harness, Random random, List<Integer> candidates, boolean faultsAllowed) {
    int[] rows =
        candidates.stream()
            .filter(harness.openSeats()::contains)
            .filter(harness::mayStep)
            .filter(seat -> random.nextInt(4) > 0)
            .mapToInt(Integer::intValue)
            .toArray();
    int share = random.nextInt(5);
    try {
      for (int seat : harness.step((s, l, h, c) -> random.nextInt(4) < share, rows)) {
        assertThat(faultsAllowed).as(harness.lastFaults.of(seat).message()).isTrue();
        harness.close(seat);
      }
    } catch (TierException e) {
      refuse(harness, e, faultsAllowed);
    }
  }

  private static void refuse(StoreHarness harness, TierException e, boolean allowed) {
    assertThat(allowed).as(e.getMessage()).isTrue();
    assertThat(e).hasMessageContaining(";");
    harness.close(e.seat());
  }
}

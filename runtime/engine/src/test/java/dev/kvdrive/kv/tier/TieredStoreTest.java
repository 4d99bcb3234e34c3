package dev.kvdrive.kv.tier;

import static dev.kvdrive.kv.tier.StoreHarness.ALL;
import static dev.kvdrive.kv.tier.StoreHarness.EXTENT_CHUNKS;
import static dev.kvdrive.kv.tier.StoreHarness.NOTHING;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.tier.FaultyFiles.Fault;
import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import dev.kvdrive.kv.tier.StoreHarness.Wish;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.StoreHeap;
import dev.kvdrive.plan.Workspace;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What lives where, what moves, and what happens when it cannot. */
@Timeout(120)
class TieredStoreTest {
  private static final int EXTENT_BYTES = 4096;

  @TempDir Path directory;

  private final FaultyFiles files = new FaultyFiles(7, EXTENT_BYTES);
  private final SetClock clock = new SetClock();

  /** One layer, one head, one seat per number: the smallest store there is. */
  private StoreHarness small(int seats, int maxExtents, int dram, int nvme, Duration patience) {
    return small(seats, maxExtents, dram, nvme, patience, NvmeEncryption.NONE);
  }

  private StoreHarness small(
      int seats, int maxExtents, int dram, int nvme, Duration patience, NvmeEncryption form) {
    return new StoreHarness(
        1,
        1,
        seats,
        maxExtents,
        dram,
        nvme,
        new NvmeOptions(directory, Direct.OFF, 4, patience),
        Placement.LEAST_RECENTLY_USED,
        files,
        form);
  }

  private StoreHarness small(int seats, int maxExtents, int dram, int nvme, NvmeEncryption form) {
    return small(seats, maxExtents, dram, nvme, Duration.ofSeconds(20), form);
  }

  /** What is said of bytes that are not those that were written. */
  private static String damage(NvmeEncryption form) {
    return switch (form) {
      case NONE -> "checksum mismatch";
      case AES_GCM -> "the tag of AES-GCM does not match";
    };
  }

  private StoreHarness small(int seats, int maxExtents, int dram, int nvme) {
    return small(seats, maxExtents, dram, nvme, Duration.ofSeconds(20));
  }

  /** Tokens of a prompt that closes exactly {@code extents} extents. */
  private static int tokensOf(int extents) {
    int chunks = extents * EXTENT_CHUNKS;
    return StoreHarness.GRID.firstToken(chunks) + StoreHarness.GRID.local();
  }

  private static void awaitDrive(StoreHarness harness) {
    await().until(() -> harness.store.status().nvmeFailure() == null);
  }

  private static Wish extents(Integer... wanted) {
    Set<Integer> set = Set.of(wanted);
    return (seat, layer, kvHead, chunk) -> set.contains(chunk / EXTENT_CHUNKS);
  }

  // --- demotion and promotion ---

  @Test
  void deliversWhatWasDemoted() {
    // 2 layers x 2 heads x 16 extents in 16 frames.
    try (StoreHarness harness = StoreHarness.of(2, 2, 1, 16, 16, 64, directory)) {
      harness.start(0, 120);
      assertThat(harness.store.status().demotions()).isGreaterThan(30);
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.delivered).isGreaterThan(100);
      harness.checkCaps();
      harness.checkNothingLeft();
    }
  }

  @Test
  void whatAStepChangesIsToldInOneUploadAndOneVerbForAllLayersAndSeats() {
    try (StoreHarness harness = StoreHarness.of(5, 2, 3, 4, 5 * 2 * 3 * 4, 0, directory)) {
      for (int seat = 0; seat < 3; seat++) {
        harness.start(seat, tokensOf(1) + StoreHarness.GRID.chunk() - 1);
      }
      harness.queue.synchronize();
      // The token that comes begins an extent in every layer, head and seat.
      int[] seats = {0, 1, 2};
      int[] positions = {harness.tokens(0), harness.tokens(1), harness.tokens(2)};
      assertThat(harness.store.provideForStep(harness.queue, seats, positions, 3)).isEmpty();
      int event = 1;
      assertThat(harness.queue.pending()).isEqualTo(event + 2);
    }
  }

  @Test
  void servesADeviceThatNeverRings() {
    try (StoreHarness harness = StoreHarness.of(2, 2, 1, 16, 16, 64, directory)) {
      harness.rings = false;
      harness.start(0, 120);
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.delivered).isGreaterThan(100);
    }
  }

  @Test
  void readsAnExtentOnceForAllItsChunks() {
    try (StoreHarness harness = small(1, 12, 3, 12)) {
      harness.start(0, tokensOf(10));
      long before = harness.store.status().reads();
      assertThat(harness.step(extents(0, 1), 0)).isEmpty();
      assertThat(harness.delivered).isEqualTo(2 * EXTENT_CHUNKS);
      assertThat(harness.store.status().reads() - before).isEqualTo(2);
    }
  }

  @Test
  void keepsEverythingInDramWhileThereIsRoom() {
    try (StoreHarness harness = small(1, 8, 40, 8)) {
      harness.start(0, tokensOf(8));
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.delivered).isZero();
      assertThat(harness.store.status().writes()).isZero();
      assertThat(harness.store.status().demotions()).isZero();
    }
  }

  @Test
  void demotesTheLeastRecentlyUsedExtentFirst() {
    try (StoreHarness harness = small(2, 12, 11, 24)) {
      harness.start(0, tokensOf(8));
      for (int i = 0; i < Recency.STEPS; i++) {
        assertThat(harness.step(extents(0, 1, 2, 6), 0)).isEmpty();
      }
      // Nine extents now; five more are three too many.
      assertThat(harness.store.status().demotions()).isZero();
      harness.start(1, tokensOf(5));
      assertThat(harness.store.status().demotions()).isEqualTo(3);
      assertThat(harness.step(extents(0, 1, 2, 6, 7, 8), 0)).isEmpty();
      assertThat(harness.delivered).isZero();
      assertThat(harness.step(extents(3, 4, 5), 0)).isEmpty();
      assertThat(harness.delivered).isEqualTo(3 * EXTENT_CHUNKS);
    }
  }

  @Test
  void demotesTheOldestAmongEquals() {
    try (StoreHarness harness = small(2, 12, 10, 24)) {
      harness.start(0, tokensOf(8));
      harness.start(1, tokensOf(4));
      harness.queue.synchronize();
      int before = harness.delivered;
      assertThat(harness.step(extents(2, 3, 4, 5, 6, 7), 0)).isEmpty();
      assertThat(harness.delivered).isEqualTo(before);
      assertThat(harness.step(extents(0, 1), 0)).isEmpty();
      assertThat(harness.delivered).isEqualTo(before + 2 * EXTENT_CHUNKS);
    }
  }

  @Test
  void thePlacementDecidesWhoLeaves() {
    Placement keepsTheEarly = (layer, seat, kvHead, extent, lastUse) -> -extent;
    try (StoreHarness harness =
        new StoreHarness(
            1, 1, 2, 12, 10, 24, StoreHarness.options(directory), keepsTheEarly, files)) {
      harness.start(0, tokensOf(8));
      harness.queue.synchronize();
      harness.start(1, tokensOf(4));
      assertThat(harness.step(extents(0, 1, 2, 3, 4, 5), 0)).isEmpty();
      assertThat(harness.delivered).isZero();
      assertThat(harness.step(extents(6, 7), 0)).isEmpty();
      assertThat(harness.delivered).isEqualTo(2 * EXTENT_CHUNKS);
    }
  }

  @Test
  void promotesWhatIsMissedInThePlaceOfSomethingColder() {
    try (StoreHarness harness = small(1, 12, 5, 12)) {
      harness.start(0, tokensOf(11));
      for (int i = 0; i < 4; i++) {
        assertThat(harness.store.settle(20_000)).isTrue(); // a colder one has been written
        assertThat(harness.step(extents(0), 0)).isEmpty();
      }
      assertThat(harness.store.status().promotions()).isPositive();
      int before = harness.delivered;
      assertThat(harness.step(extents(0), 0)).isEmpty();
      assertThat(harness.delivered).as("no more misses").isEqualTo(before);
      harness.checkNothingLeft();
    }
  }

  @Test
  void aCleanExtentIsDemotedWithoutAWrite() {
    try (StoreHarness harness = small(1, 40, 5, 40)) {
      harness.start(0, tokensOf(11));
      for (int step = 0; step < 60; step++) {
        assertThat(harness.step(extents(step / 3 % 5), 0)).isEmpty();
        assertThat(harness.store.settle(20_000)).isTrue();
      }
      TierStatus status = harness.store.status();
      assertThat(status.promotions()).isGreaterThan(3);
      assertThat(status.writes())
          .as("each extent is written at most once")
          .isLessThanOrEqualTo(harness.chunks(0) / EXTENT_CHUNKS);
    }
  }

  @Test
  void whoIsWhereDoesNotDependOnTheTimingOfTheDisk() {
    List<List<Integer>> seen = new ArrayList<>();
    for (int threads = 1; threads <= 4; threads++) {
      try (StoreHarness harness =
          new StoreHarness(
              2,
              2,
              1,
              16,
              14,
              64,
              new NvmeOptions(directory, Direct.OFF, threads, Duration.ofSeconds(20)),
              Placement.LEAST_RECENTLY_USED,
              files)) {
        harness.start(0, 110);
        List<Integer> deliveries = new ArrayList<>();
        for (int extent = 0; extent < 12; extent++) {
          assertThat(harness.step(extents(extent), 0)).isEmpty();
          assertThat(harness.store.settle(20_000)).isTrue();
          deliveries.add(harness.delivered);
        }
        seen.add(deliveries);
      }
    }
    assertThat(seen).allMatch(deliveries -> deliveries.equals(seen.getFirst()));
  }

  @Test
  void theLastExtentFitsWhenTiersHoldExactlyEverything() {
    // 2 seats x 8 extents: 16 in all; 5 frames and 11 slots.
    try (StoreHarness harness = small(2, 8, 5, 11)) {
      harness.start(0, tokensOf(8));
      harness.start(1, tokensOf(8));
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
      harness.checkCaps();
      harness.checkNothingLeft();
    }
  }

  @Test
  void worksWithoutNvme() {
    try (StoreHarness harness = small(1, 8, 8, 0)) {
      harness.start(0, tokensOf(8));
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.store.status().nvmeCapacityBytes()).isZero();
      assertThat(directory).isEmptyDirectory();
    }
  }

  @Test
  void whichExtentsLeaveDoesNotDependOnTheSpeedOfTheDisk() {
    // 12 frames for 60 extents, two writes at a time at most: each has to wait for the disk.
    List<String> seen = new ArrayList<>();
    for (boolean slow : new boolean[] {false, true}) {
      try (StoreHarness harness =
          new StoreHarness(
              1,
              1,
              1,
              60,
              12,
              60,
              new NvmeOptions(directory, Direct.OFF, 1, Duration.ofSeconds(20)),
              Placement.LEAST_RECENTLY_USED,
              files)) {
        files.slow(slow ? 1 : 0);
        harness.start(0, tokensOf(50));
        assertThat(harness.store.settle(20_000)).isTrue();
        seen.add(harness.resident(0));
        files.slow(0);
      }
    }
    assertThat(seen.getLast()).isEqualTo(seen.getFirst());
    assertThat(seen.getFirst()).as("the oldest have left").matches("n+D+n+");
  }

  @Test
  void writingAheadGoesOnAfterTheSequenceThatWasRankedHasEnded() {
    try (StoreHarness harness = small(2, 140, 128, 280)) {
      harness.open(0);
      for (int extent = 0; extent < 124; extent++) {
        harness.prefill(0, 0, extent * EXTENT_CHUNKS, (extent + 1) * EXTENT_CHUNKS);
        harness.queue.synchronize();
      }
      harness.close(0);
      assertThat(harness.store.settle(20_000)).isTrue();
      long before = harness.store.status().writes();
      harness.open(1);
      for (int extent = 0; extent < 126; extent++) {
        harness.prefill(1, 0, extent * EXTENT_CHUNKS, (extent + 1) * EXTENT_CHUNKS);
        harness.queue.synchronize();
        assertThat(harness.store.settle(20_000)).isTrue();
      }
      assertThat(harness.store.status().writes() - before)
          .as("two frames of a low water mark of eight are free")
          .isEqualTo(6);
    }
  }

  // --- what may be written in a day ---

  private StoreHarness limited(int seats, int maxExtents, int dram, int nvme, int extentsPerDay) {
    return new StoreHarness(
        1,
        1,
        seats,
        maxExtents,
        dram,
        nvme,
        StoreHarness.options(directory)
            .withWritesPerDay((long) extentsPerDay * EXTENT_BYTES, clock),
        Placement.LEAST_RECENTLY_USED,
        files);
  }

  @Test
  void nothingIsWrittenWhereAllThatIsPromisedFitsDram() {
    try (StoreHarness harness = small(2, 40, 20, 80)) {
      harness.open(0, tokensOf(9));
      harness.open(1, tokensOf(9));
      for (int extent = 0; extent < 9; extent++) {
        for (int seat = 0; seat < 2; seat++) {
          harness.prefill(seat, 0, extent * EXTENT_CHUNKS, (extent + 1) * EXTENT_CHUNKS);
          harness.queue.synchronize();
          assertThat(harness.store.settle(20_000)).isTrue();
        }
      }
      assertThat(harness.store.status().writes()).isZero();
    }
  }

  @Test
  void everyByteWrittenIsCountedAndRememberedByTheVolume() {
    files.with(Fault.WRITE_EIO, 0.2);
    long written;
    try (StoreHarness harness = limited(1, 40, 5, 40, 1_000)) {
      harness.start(0, tokensOf(30));
      TierStatus status = harness.store.status();
      assertThat(files.injected()).isPositive();
      written = status.written().bytes();
      assertThat(written).isEqualTo((status.writes() + files.injected()) * EXTENT_BYTES);
      assertThat(status.written().lastDay()).isEqualTo(written);
      assertThat(status.written().perDay()).isEqualTo(1_000L * EXTENT_BYTES);
    }
    try (StoreHarness harness = limited(1, 40, 5, 40, 1_000)) {
      assertThat(harness.store.status().written())
          .isEqualTo(new TierStatus.Written(0, written, 1_000L * EXTENT_BYTES));
    }
  }

  /**
   * An extent in DRAM may have a copy on NVMe, which counts as written when another sequence
   * begins. Giving it up for a slot has it written again, beyond what was promised to both.
   */
  @Test
  void copiesThatOthersWerePromisedToBeEnoughAreNotGivenUp() {
    long writes = 0;
    for (int seed = 0; seed < 200; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      try (StoreHarness harness = limited(3, 12, 6, 12, 16 + random.nextInt(16))) {
        int[] most = new int[3];
        for (int turn = 0; turn < 60; turn++) {
          int seat = random.nextInt(3);
          int extents = 2 + random.nextInt(10);
          if (!harness.openSeats().contains(seat)) {
            if (harness.store.admission().hasRoomFor(tokensOf(extents))) {
              most[seat] = tokensOf(extents);
              harness.open(seat, most[seat]);
              int prompt = EXTENT_CHUNKS * (1 + random.nextInt(extents - 1));
              harness.prefill(seat, 0, 0, prompt);
              harness.prefilled(seat, tokensOf(prompt / EXTENT_CHUNKS));
            }
          } else if (harness.tokens(seat) + 1 < most[seat]) {
            for (int steps = random.nextInt(12);
                steps > 0 && harness.tokens(seat) + 1 < most[seat];
                steps--) {
              int asked = random.nextInt(12);
              assertThat(
                      harness.step(
                          (of, layer, kvHead, chunk) -> chunk / EXTENT_CHUNKS == asked, seat))
                  .isEmpty();
            }
          } else {
            harness.close(seat);
          }
          if (random.nextBoolean()) {
            assertThat(harness.store.settle(20_000)).isTrue();
          }
        }
        writes += harness.store.status().writes();
      }
      clock.pass(Duration.ofHours(25));
    }
    assertThat(writes).isPositive();
  }

  @Test
  void whoFitsDramBeginsWhateverWasWritten() {
    try (StoreHarness harness = limited(2, 40, 12, 80, 30)) {
      harness.start(0, tokensOf(30));
      assertThat(harness.store.settle(20_000)).isTrue();
      harness.close(0);
      assertThat(harness.store.admission().hasRoomFor(tokensOf(30)))
          .as("not twice a day")
          .isFalse();
      Admission.Shortage shortage =
          Objects.requireNonNull(harness.store.admission().shortage(tokensOf(30)));
      assertThat(shortage.until()).isEqualTo(Duration.ofMinutes(24 * 60 + 30));
      assertThat(shortage.message())
          .contains(
              "try again after " + clock.instant().plus(shortage.until()), "ask for fewer tokens");
      assertThat(harness.store.admission().shortage(tokensOf(12))).isNull();
      assertThat(harness.store.admission().hasRoomFor(tokensOf(12))).isTrue();
      harness.open(0, tokensOf(12));
      harness.prefill(0, 0, 0, 12 * EXTENT_CHUNKS);
      harness.prefilled(0, tokensOf(12));
      assertThat(harness.step(NOTHING, 0)).isEmpty();
      clock.pass(Duration.ofHours(25));
      harness.close(0);
      assertThat(harness.store.admission().shortage(tokensOf(30))).isNull();
      assertThat(harness.store.admission().hasRoomFor(tokensOf(30))).isTrue();
    }
  }

  @Test
  void whoHasBegunIsNotStoppedByWhoComesLater() {
    // Thirty may be written: ten are promised to the first, so the second gets twenty at most.
    try (StoreHarness harness = limited(2, 40, 5, 80, 30)) {
      harness.open(0, tokensOf(10));
      assertThat(harness.store.admission().hasRoomFor(tokensOf(21))).isFalse();
      assertThat(harness.store.admission().shortage(tokensOf(21))).as("alone it could").isNull();
      assertThat(harness.store.admission().hasRoomFor(tokensOf(20))).isTrue();
      harness.open(1, tokensOf(20));
      for (int extent = 0; extent < 20; extent++) {
        for (int seat = 0; seat < (extent < 10 ? 2 : 1); seat++) {
          int of = extent < 10 ? seat : 1;
          harness.prefill(of, 0, extent * EXTENT_CHUNKS, (extent + 1) * EXTENT_CHUNKS);
        }
      }
      harness.prefilled(0, tokensOf(10));
      harness.prefilled(1, tokensOf(20));
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
      assertThat(harness.store.status().written().lastDay())
          .isLessThanOrEqualTo(30L * EXTENT_BYTES);
      harness.checkNothingLeft();
    }
  }

  @Test
  void whoNeedsMoreThanWasPromisedIsEndedWithTheWayOut() {
    try (StoreHarness harness = limited(1, 40, 5, 40, 8)) {
      harness.open(0, tokensOf(5)); // and does not keep to it
      TierException refused =
          catchThrowableOfType(
              TierException.class, () -> harness.prefill(0, 0, 0, 30 * EXTENT_CHUNKS));
      assertThat(refused.seat()).isZero();
      assertThat(refused.getMessage())
          .contains("no room in DRAM", "of what may be written in 24 hours", "give DRAM more room");
      assertThat(harness.store.status().written().lastDay()).isEqualTo(8L * EXTENT_BYTES);
      harness.checkNothingLeft();
    }
  }

  // --- waiting ---

  @Test
  void noRoomYetIsSaidAndNotWaitedFor() {
    try (StoreHarness harness = small(2, 8, 6, 16)) {
      harness.start(0, tokensOf(5));
      files.hold();
      harness.open(1);
      assertThat(harness.store.provideForChunks(harness.queue, 0, 1, 0, 20)).isZero();
      assertThat(harness.store.waits(harness.queue, 1)).isTrue();
      assertThat(harness.step(NOTHING, 0)).as("others go on").isEmpty();
      files.release();
      harness.awaitTurn(1);
      assertThat(harness.store.provideForChunks(harness.queue, 0, 1, 0, 4)).isEqualTo(4);
    }
  }

  @Test
  void aSeatsFirstExtentsNeverWaitForADiskHoweverMuchAnotherWants() {
    try (StoreHarness harness = small(3, 20, 8, 60)) {
      files.hold();
      harness.open(0);
      int to = 0;
      for (int end = -1; end != to; ) {
        to = end < 0 ? 0 : end;
        end = harness.store.provideForChunks(harness.queue, 0, 0, to, to + EXTENT_CHUNKS);
        harness.queue.synchronize();
      }
      assertThat(to).as("chunks of the long one").isEqualTo(6 * EXTENT_CHUNKS);
      assertThat(harness.store.waits(harness.queue, 0)).isTrue();
      for (int seat = 1; seat < 3; seat++) {
        harness.start(seat, tokensOf(1));
        assertThat(harness.step(NOTHING, seat)).isEmpty();
      }
      files.release();
      harness.awaitTurn(0);
    }
  }

  @Test
  void whoWaitsForMoreThanThereWillBeOnceOthersTookTheirsGoesOnWithLess() {
    try (StoreHarness harness = small(3, 20, 8, 60)) {
      harness.open(0);
      harness.prefill(0, 0, 0, EXTENT_CHUNKS);
      files.hold();
      int all = 8 * EXTENT_CHUNKS;
      assertThat(harness.store.provideForChunks(harness.queue, 0, 0, EXTENT_CHUNKS, all))
          .as("seven more extents: there are seven frames, and two of them are for others")
          .isEqualTo(EXTENT_CHUNKS);
      for (int seat = 1; seat < 3; seat++) {
        harness.open(seat);
        harness.prefill(seat, 0, 0, 1);
      }
      files.release();
      harness.awaitTurn(0);
      harness.prefill(0, 0, EXTENT_CHUNKS, all);
      harness.checkCaps();
    }
  }

  @Test
  void aRowThatIsLateIsRepeatedFromTheSameStateWhileOthersGoOn() {
    try (StoreHarness harness = small(2, 12, 10, 24)) {
      harness.start(0, tokensOf(8));
      harness.start(1, tokensOf(8));
      assertThat(harness.store.settle(20_000)).isTrue();
      files.hold();
      harness.patienceMillis = 5;
      int tokens = harness.tokens(0);
      assertThat(harness.step(extents(0), 0)).isEmpty();
      assertThat(harness.lastFaults.repeats(0)).isTrue();
      assertThat(harness.tokens(0)).isEqualTo(tokens);
      for (int i = 0; i < 3; i++) {
        assertThat(harness.store.waits(harness.queue, 0)).isTrue();
        assertThat(harness.step(NOTHING, 1)).isEmpty();
        assertThat(harness.lastFaults.late()).isEmpty();
      }
      files.release();
      harness.awaitTurn(0);
      harness.patienceMillis = 20_000;
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
      assertThat(harness.tokens(0)).isEqualTo(tokens + 1);
      harness.checkNothingLeft();
    }
  }

  @Test
  void anotherRowOfTheStepGetsItsChunksAlthoughOneIsLate() {
    try (StoreHarness harness = small(2, 12, 4, 24)) {
      harness.start(0, tokensOf(8));
      harness.start(1, tokensOf(8));
      assertThat(harness.store.settle(20_000)).isTrue();
      harness.patienceMillis = 50;
      files.holdNext();
      // The first read is held, that of the other row is not.
      assertThat(harness.step(extents(0), 0, 1)).isEmpty();
      assertThat(harness.lastFaults.late()).hasSize(1);
      assertThat(harness.delivered).isEqualTo(EXTENT_CHUNKS);
      files.release();
      harness.awaitTurn(harness.lastFaults.late().iterator().next());
      harness.checkNothingLeft();
    }
  }

  @Test
  void theChunkThatARepeatedRowClosesIsClosedOnce() {
    try (StoreHarness harness = small(1, 12, 4, 24)) {
      // The next token closes the last chunk of extent 7: were it noted, the extent could leave.
      harness.start(0, tokensOf(8) - 1);
      assertThat(harness.store.settle(20_000)).isTrue();
      files.hold();
      harness.patienceMillis = 5;
      assertThat(harness.step(extents(0), 0)).isEmpty();
      assertThat(harness.lastFaults.repeats(0)).isTrue();
      files.release();
      harness.awaitTurn(0);
      harness.patienceMillis = 20_000;
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.lastFaults.late()).isEmpty();
      assertThat(harness.chunks(0)).isEqualTo(8 * EXTENT_CHUNKS);
    }
  }

  @Test
  void anErrorThatCannotEvenBeNamedEndsNoThread() {
    try (StoreHarness harness = small(1, 12, 3, 12)) {
      harness.start(0, tokensOf(10));
      for (int i = 0; i < 3; i++) {
        files.throwing(
            () ->
                new IllegalStateException() {
                  @Override
                  public String getMessage() {
                    throw new IllegalArgumentException("no words");
                  }
                });
        assertThat(harness.step(extents(0), 0)).containsExactly(0);
        assertThat(harness.lastFaults.stopped()).isFalse();
        harness.close(0);
        files.throwing(null);
        awaitDrive(harness);
        harness.start(0, tokensOf(10));
        assertThat(harness.step(extents(0), 0)).isEmpty();
      }
      assertThat(harness.store.broken()).isNull();
      harness.checkNothingLeft();
    }
  }

  @Test
  void aThreadThatEndsAlthoughNothingShouldEndItIsTold() {
    try (StoreHarness harness = small(1, 12, 3, 12)) {
      assertThat(harness.store.broken()).isNull();
      harness.store.onProgress(
          () -> {
            throw new IllegalStateException("no way to tell");
          });
      harness.open(0);
      harness.prefill(0, 0, 0, 3 * EXTENT_CHUNKS);
      harness.queue.synchronize();
      assertThat(harness.store.provideForChunks(harness.queue, 0, 0, 12, 16)).isEqualTo(12);
      await().until(() -> harness.store.broken() != null);
      assertThat(harness.store.broken()).contains("kvdrive-nvme-", "no way to tell");
    }
  }

  // --- full tiers ---

  @Test
  void fullTiersRefuseOneSequenceAndServeTheOthers() {
    try (StoreHarness harness = small(2, 8, 4, 5)) {
      harness.start(0, tokensOf(7));
      TierException refused =
          catchThrowableOfType(TierException.class, () -> harness.start(1, tokensOf(7)));
      assertThat(refused.seat()).isEqualTo(1);
      assertThat(refused)
          .hasMessageContaining("full")
          .hasMessageContaining("of 4 are free in DRAM")
          .hasMessageContaining("of 5 on NVMe");
      harness.close(1);
      assertThat(harness.step(ALL, 0)).isEmpty();
      harness.start(1, tokensOf(1));
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
      harness.checkNothingLeft();
    }
  }

  // --- encryption ---

  @ParameterizedTest
  @EnumSource
  void whatIsEncryptedIsNowhereInTheFiles(NvmeEncryption form) throws IOException {
    try (StoreHarness harness = small(1, 12, 3, 12, form)) {
      harness.start(0, tokensOf(10));
      assertThat(harness.store.settle(20_000)).isTrue();
      String onDisk = content();
      int found = 0;
      for (int chunk = 0; chunk < 10 * EXTENT_CHUNKS; chunk++) {
        byte[] bytes = harness.bytes(0, 0, 0, chunk);
        for (int at = 0; at + 8 <= bytes.length; at += 8) {
          String piece = new String(bytes, at, 8, StandardCharsets.ISO_8859_1);
          found += onDisk.contains(piece) ? 1 : 0;
        }
      }
      if (form.encrypts()) {
        assertThat(found).as("pieces of 8 bytes").isZero();
        byte[] keys = harness.device.host("NVMe keys").toArray(ValueLayout.JAVA_BYTE);
        for (byte[] proof : proofs(keys).values()) {
          assertThat(onDisk)
              .doesNotContain(
                  new String(proof, 0, NvmeEncryption.KEY_BYTES, StandardCharsets.ISO_8859_1));
        }
      } else {
        assertThat(found).as("pieces of 8 bytes").isGreaterThan(7 * EXTENT_CHUNKS);
      }
      assertThat(harness.step(ALL, 0)).isEmpty();
      assertThat(harness.delivered).isPositive();
    }
  }

  /** All bytes of all extent files. */
  private String content() throws IOException {
    StringBuilder all = new StringBuilder();
    try (Stream<Path> entries = Files.list(directory)) {
      for (Path file : entries.filter(path -> path.toString().endsWith(".kv")).toList()) {
        all.append(Files.readString(file, StandardCharsets.ISO_8859_1));
      }
    }
    return all.toString();
  }

  /** By slot: those that are not blank. */
  private static Map<Integer, byte[]> proofs(byte[] table) {
    int bytes = NvmeEncryption.AES_GCM.proofBytes();
    Map<Integer, byte[]> proofs = new TreeMap<>();
    for (int slot = 0; slot < table.length / bytes; slot++) {
      byte[] proof = Arrays.copyOfRange(table, slot * bytes, (slot + 1) * bytes);
      if (!Arrays.equals(proof, new byte[bytes])) {
        proofs.put(slot, proof);
      }
    }
    return proofs;
  }

  /** The keys that there are, of which no two are the same; each is of an extent on NVMe. */
  private static Set<String> keys(StoreHarness harness) {
    assertThat(harness.store.settle(20_000)).isTrue();
    Map<Integer, byte[]> proofs =
        proofs(harness.device.host("NVMe keys").toArray(ValueLayout.JAVA_BYTE));
    Set<String> keys = new HashSet<>();
    for (byte[] proof : proofs.values()) {
      keys.add(HexFormat.of().formatHex(proof, 0, NvmeEncryption.KEY_BYTES));
    }
    TierStatus status = harness.store.status();
    assertThat(keys)
        .as("keys that are not the same")
        .hasSize(proofs.size())
        .hasSize((int) (status.nvmeUsedBytes() / EXTENT_BYTES));
    return keys;
  }

  @Test
  void aKeyIsGoneWithItsExtent() {
    try (StoreHarness harness = small(2, 12, 4, 24, NvmeEncryption.AES_GCM)) {
      assertThat(keys(harness)).isEmpty();
      harness.start(0, tokensOf(8));
      Set<String> first = keys(harness);
      assertThat(first).hasSizeGreaterThan(3);
      harness.start(1, tokensOf(8));
      Set<String> both = keys(harness);
      assertThat(both).containsAll(first).hasSizeGreaterThan(first.size() + 3);
      harness.close(0);
      assertThat(keys(harness)).isNotEmpty().doesNotContainAnyElementsOf(first);
      harness.start(0, tokensOf(8));
      assertThat(keys(harness)).as("a slot that is used again").doesNotContainAnyElementsOf(first);
      harness.checkNothingLeft();
      assertThat(keys(harness)).isEmpty();
    }
  }

  @Test
  void whatSequencesHaveInCommonIsEncryptedOnceAndItsKeyStaysForTheLastOfThem() {
    int[] prompt = IntStream.range(0, tokensOf(8)).toArray();
    int most = prompt.length + 2;
    try (StoreHarness harness = small(2, 12, 5, 40, NvmeEncryption.AES_GCM)) {
      assertThat(harness.startPrompt(0, "a", prompt, most)).isZero();
      Set<String> first = keys(harness);
      assertThat(first).hasSizeGreaterThan(3);
      assertThat(harness.startPrompt(1, "a", prompt, most)).isPositive();
      assertThat(keys(harness)).containsAll(first);
      harness.close(0);
      assertThat(keys(harness)).containsAll(first);
      assertThat(harness.step(ALL, 1)).isEmpty();
      // Kept on a shelf, it is read with the same keys by who comes next, of the same tenant.
      harness.close(1);
      assertThat(keys(harness)).isNotEmpty();
      assertThat(harness.startPrompt(0, "a", prompt, most)).isPositive();
      assertThat(harness.step(ALL, 0)).isEmpty();
      harness.clearShelves();
      harness.checkNothingLeft();
      assertThat(keys(harness)).isEmpty();
    }
  }

  @Test
  void tenantsWithTheSameContentHaveNoKeyAndNoByteOnDiskInCommon() throws IOException {
    int[] prompt = IntStream.range(0, tokensOf(6)).toArray();
    int most = prompt.length + 2;
    try (StoreHarness harness = small(2, 12, 4, 40, NvmeEncryption.AES_GCM)) {
      harness.startPrompt(0, "a", prompt, most);
      harness.startPrompt(1, "b", prompt, most);
      assertThat(keys(harness)).hasSizeGreaterThan(7);
      String onDisk = content();
      Set<String> blocks = new HashSet<>();
      int written = 0;
      for (int at = 0; at + 16 <= onDisk.length(); at += 16) {
        String block = onDisk.substring(at, at + 16);
        if (!block.equals("\0".repeat(16))) {
          written++;
          blocks.add(block);
        }
      }
      // What is behind the chunks of an extent is zeros, in each of them, before it is encrypted.
      assertThat(written).isGreaterThan(7 * EXTENT_BYTES / 16);
      assertThat(blocks).hasSize(written);
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
    }
  }

  @Test
  void keysAreGoneWhenTheStoreHasEnded() {
    StoreHarness harness = small(1, 12, 3, 12, NvmeEncryption.AES_GCM);
    List<byte[]> last = new ArrayList<>();
    harness.device.beforeRelease(
        "NVMe keys", memory -> last.add(memory.toArray(ValueLayout.JAVA_BYTE)));
    try (harness) {
      harness.start(0, tokensOf(10));
      assertThat(keys(harness)).isNotEmpty();
    }
    assertThat(last).singleElement().satisfies(table -> assertThat(proofs(table)).isEmpty());
  }

  // --- failing disks ---

  @Test
  void aReadThatFailsOnceIsRepeated() {
    for (Fault fault : List.of(Fault.READ_EIO, Fault.SHORT_READ, Fault.FLIP_ON_READ)) {
      try (StoreHarness harness = small(1, 12, 3, 12)) {
        harness.start(0, tokensOf(10));
        files.once(fault);
        assertThat(harness.step(extents(0), 0)).isEmpty();
        assertThat(harness.delivered).isEqualTo(EXTENT_CHUNKS);
        assertThat(harness.store.status().ioErrors()).isEqualTo(1);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aReadThatKeepsFailingEndsTheSequenceWithTheReason(NvmeEncryption form) {
    for (Fault fault : List.of(Fault.READ_EIO, Fault.SHORT_READ, Fault.FLIP_ON_READ)) {
      try (StoreHarness harness = small(1, 12, 3, 12, form)) {
        harness.start(0, tokensOf(10));
        files.with(fault, 1);
        assertThat(harness.step(extents(0), 0)).containsExactly(0);
        assertThat(harness.lastFaults.of(0).message())
            .contains("extent 0 of layer 0, KV head 0")
            .doesNotContain("kvdrive-extents")
            .contains(
                switch (fault) {
                  case READ_EIO -> "Input/output error";
                  case SHORT_READ -> "short read: 0 of 4096 bytes";
                  default -> damage(form);
                })
            .contains("Send the request again");
        assertThat(harness.store.status().ioErrors()).isEqualTo(2);
        files.heal();
        harness.checkNothingLeft();
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void bytesThatAreNotWhatWasWrittenAreNeverServed(NvmeEncryption form) {
    for (Fault fault : List.of(Fault.LOST_WRITE, Fault.FLIP_ON_WRITE, Fault.MISPLACED_WRITE)) {
      try (StoreHarness harness = small(1, 12, 3, 12, form)) {
        files.with(fault, 1);
        harness.start(0, tokensOf(10));
        files.heal();
        assertThat(harness.step(extents(0), 0)).containsExactly(0);
        assertThat(harness.lastFaults.of(0).message()).contains(damage(form));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aStaleExtentOfAnEarlierSequenceIsNotServed(NvmeEncryption form) {
    try (StoreHarness harness = small(1, 12, 3, 12, form)) {
      harness.start(0, tokensOf(10)); // leaves its bytes on disk
      harness.close(0);
      files.with(Fault.LOST_WRITE, 1);
      harness.start(0, tokensOf(10));
      files.heal();
      assertThat(harness.step(extents(0), 0)).containsExactly(0);
      assertThat(harness.lastFaults.of(0).message()).contains(damage(form));
    }
  }

  @Test
  void anExtentThatCannotBeWrittenStaysInDram() {
    for (Fault fault : List.of(Fault.WRITE_EIO, Fault.WRITE_ENOSPC, Fault.SHORT_WRITE)) {
      try (StoreHarness harness = small(2, 8, 6, 16)) {
        harness.start(0, tokensOf(5));
        files.with(fault, 1);
        TierException refused =
            catchThrowableOfType(TierException.class, () -> harness.start(1, tokensOf(5)));
        assertThat(refused.seat()).isEqualTo(1);
        assertThat(refused)
            .hasMessageContaining(
                switch (fault) {
                  case WRITE_EIO -> "Input/output error";
                  case WRITE_ENOSPC -> "No space left on device";
                  default -> "short write";
                });
        assertThat(harness.store.status().degraded()).isTrue();
        harness.close(1);
        assertThat(harness.step(ALL, 0)).as("nothing is lost").isEmpty();
        assertThat(harness.delivered).isZero();
        assertThatThrownBy(() -> harness.start(1, tokensOf(5)))
            .as("what needs a drive that does not work fails at once")
            .hasMessageContaining(
                fault == Fault.WRITE_ENOSPC ? "the NVMe volume is full" : "check the drive");
        harness.close(1);
        files.heal();
        awaitDrive(harness);
        harness.start(1, tokensOf(5));
        assertThat(harness.store.status().degraded()).isFalse();
        assertThat(harness.step(ALL, 0, 1)).isEmpty();
        harness.checkNothingLeft();
      }
    }
  }

  @Test
  void aDiskThatDoesNotAnswerAReadCostsOneTimeoutAndNothingReachesALaterStep() {
    try (StoreHarness harness = small(2, 12, 6, 24)) {
      harness.start(0, tokensOf(10));
      harness.start(1, tokensOf(2));
      assertThat(harness.store.settle(20_000)).isTrue();
      files.hold();
      harness.patienceMillis = 500; // so that the reads have surely begun
      harness.timeoutMillis = 600;
      assertThat(harness.step(extents(0, 1), 0)).isEmpty();
      assertThat(harness.lastFaults.repeats(0)).isTrue();
      assertThat(harness.lastFaults.stopped()).isFalse();
      assertThatThrownBy(() -> harness.awaitTurn(0))
          .isInstanceOf(TierException.class)
          .hasMessageContaining("not delivered from NVMe in time")
          .hasMessageNotContaining("kvdrive-extents");
      harness.close(0);
      harness.checkCaps();
      files.release();
      awaitDrive(harness);
      harness.patienceMillis = 20_000;
      harness.timeoutMillis = 20_000;
      assertThat(harness.step(ALL, 1)).isEmpty();
      harness.start(0, tokensOf(10));
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
      harness.checkNothingLeft();
    }
  }

  @Test
  void aSequenceWhoseReadsAreNotEvenBegunDoesNotWaitForEver() {
    try (StoreHarness harness =
        new StoreHarness(
            1,
            1,
            2,
            12,
            3,
            24,
            new NvmeOptions(directory, Direct.OFF, 1, Duration.ofSeconds(20)),
            Placement.LEAST_RECENTLY_USED,
            files)) {
      harness.start(0, tokensOf(8));
      assertThat(harness.store.settle(20_000)).isTrue();
      files.hold(); // the only thread, with the first of two reads
      harness.patienceMillis = 5;
      harness.timeoutMillis = 200;
      assertThatThrownBy(
              () -> {
                while (true) {
                  assertThat(harness.step(extents(0, 1, 2, 3), 0)).isEmpty();
                  assertThat(harness.lastFaults.repeats(0)).isTrue();
                  harness.awaitTurn(0);
                }
              })
          .isInstanceOf(TierException.class)
          .hasMessageContaining("from NVMe in time");
      harness.close(0);
      files.release();
      awaitDrive(harness);
      harness.checkNothingLeft();
    }
  }

  @Test
  void aReadThatEndsStepsLaterDoesNotOverwriteAnothersChunk() {
    try (StoreHarness harness = small(2, 12, 6, 24)) {
      harness.start(0, tokensOf(10));
      harness.start(1, tokensOf(10));
      assertThat(harness.store.settle(20_000)).isTrue();
      Runnable letGo = files.holdUntilReleased();
      harness.patienceMillis = 1_000; // so that the read has surely begun
      assertThat(harness.step(extents(0), 0)).isEmpty();
      assertThat(harness.lastFaults.late()).containsExactly(0);
      files.release(); // new accesses pass, the held one does not
      harness.patienceMillis = 20_000;
      int errors = (int) harness.store.status().ioErrors();
      long reads = harness.store.status().reads();
      harness.beforeLanding =
          () -> {
            // Seat 1 has been served at the same transit indices; now the old read ends.
            letGo.run();
            await().until(() -> harness.store.status().reads() > reads + 1);
            await().pollDelay(Duration.ofMillis(2)).until(() -> true);
          };
      assertThat(harness.step(extents(0), 1)).isEmpty();
      assertThat(harness.lastFaults.stopped()).as("the held read kept nobody waiting").isFalse();
      assertThat(harness.delivered).isEqualTo(EXTENT_CHUNKS);
      assertThat(harness.store.status().ioErrors()).isEqualTo(errors);
      harness.beforeLanding = () -> {};
      harness.checkNothingLeft();
    }
  }

  @Test
  void aDiskThatDoesNotTakeWritesRefusesInBoundedTimeAndRecovers() {
    try (StoreHarness harness = small(2, 8, 6, 16, Duration.ofMillis(100))) {
      harness.start(0, tokensOf(5));
      files.hold();
      TierException refused =
          catchThrowableOfType(TierException.class, () -> harness.start(1, tokensOf(8)));
      assertThat(refused).hasMessageContaining("did not end in 100 ms");
      assertThat(refused.seat()).isEqualTo(1);
      harness.close(1);
      harness.checkCaps();
      files.release();
      assertThat(harness.store.settle(20_000)).isTrue();
      harness.start(1, tokensOf(8));
      assertThat(harness.step(ALL, 0, 1)).isEmpty();
      harness.checkNothingLeft();
    }
  }

  @Test
  void closingASeatWithWritesInFlightFreesAllButWhatIoStillHolds() {
    try (StoreHarness harness = small(2, 8, 6, 16, Duration.ofMillis(50))) {
      harness.start(0, tokensOf(5));
      files.hold();
      assertThatThrownBy(() -> harness.start(1, tokensOf(8))).isInstanceOf(TierException.class);
      harness.close(0);
      harness.close(1);
      TierStatus inFlight = harness.store.status();
      assertThat(inFlight.dramKvBytes()).isZero();
      assertThat(inFlight.nvmeKvBytes()).isZero();
      assertThat(inFlight.dramUsedBytes()).isPositive().isEqualTo(inFlight.nvmeUsedBytes());
      files.release();
      harness.checkNothingLeft();
    }
  }

  @Test
  void closingTheStoreWithWritesInFlightEndsAndFreesEverything() {
    StoreHarness harness = small(2, 8, 6, 16, Duration.ofMillis(50));
    harness.start(0, tokensOf(5));
    files.hold();
    assertThatThrownBy(() -> harness.start(1, tokensOf(8))).isInstanceOf(TierException.class);
    files.release();
    harness.close();
  }

  // --- the device's requests ---

  @Test
  void requestsForWhatDoesNotExistFailAndHarmNobody() {
    try (StoreHarness harness = small(1, 8, 8, 8)) {
      harness.start(0, tokensOf(2));
      Mailbox mailbox = harness.store.mailbox();
      harness.store.provideForStep(harness.queue, new int[] {0}, new int[] {harness.tokens(0)}, 1);
      harness.store.beginStep();
      int[][] requests = {{0, 0, 0, 999, 0}, {9, 0, 0, 0, 1}, {0, 0, 0, 0, 2}, {0, 0, -1, 0, 99}};
      for (int request = 0; request < requests.length; request++) {
        for (int word = 0; word < 5; word++) {
          mailbox.release(Mailbox.requestWord(request, word), requests[request][word]);
        }
        mailbox.release(Mailbox.requestWord(request, 5), Mailbox.PENDING);
      }
      mailbox.release(Mailbox.COUNT, requests.length);
      int round = mailbox.acquire(Mailbox.ROUND) + 1;
      mailbox.release(Mailbox.ROUND, round);
      mailbox.doorbell().run();
      while (mailbox.acquire(Mailbox.SERVED) != round) {
        Thread.onSpinWait();
      }
      for (int request = 0; request < requests.length; request++) {
        assertThat(mailbox.acquire(Mailbox.requestWord(request, 5))).isEqualTo(Mailbox.FAILED);
      }
      StepFaults faults = harness.store.endStep(harness.queue);
      assertThat(faults.of(0).message()).contains("defect of the engine");
    }
  }

  // --- misuse ---

  @Test
  void callsOutOfOrderAreRefused() {
    try (StoreHarness harness = small(2, 8, 8, 8)) {
      TieredStore store = harness.store;
      assertThatThrownBy(store::beginStep).hasMessageContaining("provideForStep");
      assertThatThrownBy(() -> store.endStep(harness.queue)).hasMessageContaining("beginStep");
      harness.start(0, tokensOf(2));
      assertThatThrownBy(
              () -> harness.store.openSeat(harness.queue, 0, new SequenceIdentity("", "")))
          .hasMessageContaining("seat 0 is open");
      assertThatThrownBy(() -> store.provideForChunks(harness.queue, 0, 0, 0, 4))
          .hasMessageContaining("cannot follow the 8 chunks");
      assertThatThrownBy(() -> store.provideForChunks(harness.queue, 0, 1, 0, 4))
          .hasMessageContaining("seat 1 is not open");
      assertThatThrownBy(() -> store.provideForStep(harness.queue, new int[] {0}, new int[] {1}, 1))
          .hasMessageContaining("position 1 of seat 0");
      store.provideForStep(harness.queue, new int[] {0}, new int[] {harness.tokens(0)}, 1);
      store.beginStep();
      assertThatThrownBy(() -> store.closeSeat(0)).hasMessageContaining("endStep comes first");
      store.endStep(harness.queue);
    }
  }

  @Test
  void refusesFewerFramesThanOpenExtents() {
    assertThatThrownBy(() -> StoreHarness.of(2, 2, 3, 8, 13, 8, directory))
        .hasMessageContaining("13 frames")
        .hasMessageContaining("at least 14");
  }

  // --- memory ---

  @ParameterizedTest
  @EnumSource
  void pinnedMemoryStaysWithinThePlan(NvmeEncryption form) {
    NvmeOptions most = NvmeOptions.in(directory);
    try (StoreHarness harness =
        new StoreHarness(
            2,
            2,
            2,
            8,
            40,
            40,
            most,
            Placement.LEAST_RECENTLY_USED,
            ExtentFile.Opener.FILES,
            form)) {
      var layout = harness.sizes.layout();
      long lastUses = 4L * 2 * 2 * 2 * 8;
      long planned =
          Workspace.mailboxBytes(layout, harness.sizes.mailboxCapacity())
              + (long) Workspace.IO_BUFFERS * layout.extentBytes()
              + lastUses
              + form.keyTableBytes(40)
              + Workspace.CHANGE_PIECES
                  * Workspace.changeBytes(layout, 2, harness.sizes.maxChunks());
      assertThat(harness.store.status().stagingBytes()).isEqualTo(planned);
    }
  }

  @ParameterizedTest
  @EnumSource
  void javaHeapIsWhatThePlanCounts(NvmeEncryption form) throws IllegalAccessException {
    for (int[] s :
        new int[][] {{1, 1, 1, 4, 3, 0}, {2, 2, 3, 9, 40, 100}, {3, 1, 2, 70, 5000, 7}}) {
      NvmeOptions options = StoreHarness.options(directory);
      try (StoreHarness harness =
          new StoreHarness(
              s[0],
              s[1],
              s[2],
              s[3],
              s[4],
              s[5],
              options,
              Placement.LEAST_RECENTLY_USED,
              ExtentFile.Opener.FILES,
              form)) {
        int threads = s[5] == 0 ? 0 : options.threads();
        long slots = harness.store.status().nvmeCapacityBytes() / EXTENT_BYTES;
        harness.start(0, tokensOf(2));
        assertThat(arrayBytes(harness.store, new IdentityHashMap<>()))
            .isEqualTo(StoreHeap.of(harness.sizes, slots, threads).arrayBytes());
      }
    }
  }

  /** Bytes of the arrays of numbers that an object of the tiers reaches. */
  private static long arrayBytes(@Nullable Object object, Map<Object, Boolean> seen)
      throws IllegalAccessException {
    if (object == null || seen.put(object, true) != null) {
      return 0;
    }
    if (object instanceof List<?> list) {
      // Of what is in lists only threads stay.
      long bytes = 0;
      for (Object one : list) {
        bytes += one instanceof IoThread ? arrayBytes(one, seen) : 0;
      }
      return bytes;
    }
    if (object instanceof MemorySegment memory) {
      return memory.heapBase().isPresent() ? arrayBytes(memory.heapBase().get(), seen) : 0;
    }
    Class<?> type = object.getClass();
    if (type.isArray() && type.getComponentType().isPrimitive()) {
      int element =
          type == long[].class
              ? 8
              : type == int[].class ? 4 : type == boolean[].class || type == byte[].class ? 1 : -1;
      assertThat(element).as(type.getName()).isPositive();
      return (long) element * Array.getLength(object);
    }
    long bytes = 0;
    if (type.getPackageName().startsWith("dev.kvdrive.kv")) {
      for (Field field : type.getDeclaredFields()) {
        if (!Modifier.isStatic(field.getModifiers()) && !field.getType().isPrimitive()) {
          field.setAccessible(true);
          bytes += arrayBytes(field.get(object), seen);
        }
      }
    }
    return bytes;
  }

  @Test
  void aStepThatFetchesNothingNeedsNoReader() {
    try (StoreHarness harness = small(1, 8, 8, 8)) {
      harness.start(0, tokensOf(3));
      assertThat(harness.step(NOTHING, 0)).isEmpty();
      assertThat(harness.store.status().reads()).isZero();
    }
  }
}

package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.device.Device;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.kv.tier.FaultyFiles;
import dev.kvdrive.kv.tier.FaultyFiles.Fault;
import dev.kvdrive.kv.tier.SetClock;
import dev.kvdrive.kv.tier.TierException;
import dev.kvdrive.plan.NvmeEncryption;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Invariant 3: whatever the disk does, a generation says what it says without a fault, or ends with
 * an error that names the cause; never anything else.
 */
public abstract class FaultConformance extends EngineTest {
  private static final EngineShape SHAPE = EngineShape.tight(1).withSeats(2);

  /** Faults of the sweep, and where it begins; {@code docs/results/faults.md} has a long one. */
  private static final int SWEEP_FAULTS = Integer.getInteger("kvdrive.faults", 60);

  private static final long SWEEP_SEED = Long.getLong("kvdrive.seed", 1);

  /** What asks a drive whether it works, once when it is opened too. */
  private static final int BLOCK = 4096;

  private FaultyFiles faulty(EngineShape shape) {
    return new FaultyFiles(7, shape.sizes(model.geometry(), device).layout().extentBytes());
  }

  private static List<GenerationRequest> requests() {
    return List.of(
        request("first", prompt(1, 180), random(1), 24),
        request("second", prompt(2, 150), random(2), 24),
        request("short", prompt(3, 40), random(3), 24));
  }

  private List<List<GeneratedToken>> withoutFaults() {
    List<List<GeneratedToken>> answers = new ArrayList<>();
    try (KvDriveEngine engine = start(EngineShape.roomy(1))) {
      for (GenerationRequest request : requests()) {
        Recorder recorder = generate(engine, request);
        answers.add(recorder.tokens());
        GenerationUsage took = recorder.finish().usage();
        assertThat(took.decodeNvmeNanos()).as("without a drive").isZero();
        assertThat(took.decodeStalledNanos()).as("with room for all").isZero();
      }
    }
    return answers;
  }

  static Stream<Arguments> faultsOfEveryForm() {
    return Stream.of(NvmeEncryption.values())
        .flatMap(form -> Stream.of(Fault.values()).map(fault -> Arguments.of(fault, form)));
  }

  @ParameterizedTest
  @MethodSource("faultsOfEveryForm")
  void aFaultNeverChangesAnAnswer(Fault fault, NvmeEncryption form) throws IOException {
    EngineShape shape = SHAPE.withEncryption(form);
    List<List<GeneratedToken>> expected = withoutFaults();
    int failures = 0;
    int injected = 0;
    for (double share : new double[] {0.02, 0.2, 1}) {
      FaultyFiles files = faulty(shape);
      try (KvDriveEngine engine = start(settings(shape).withNvme(nvme -> nvme.withFiles(files)))) {
        files.with(fault, share);
        List<Recorder> recorders = new ArrayList<>();
        for (GenerationRequest request : requests()) {
          recorders.add(new Recorder());
          engine.submit(request, recorders.getLast());
        }
        for (int i = 0; i < recorders.size(); i++) {
          Recorder recorder = recorders.get(i).await();
          List<GeneratedToken> said = recorder.tokens();
          GenerationException error = recorder.error();
          String what = "%s of %s of the accesses, request %d".formatted(fault, share, i);
          if (error == null) {
            assertSame(what, said, expected.get(i));
          } else {
            failures++;
            assertSame(what, said, expected.get(i).subList(0, said.size()));
            assertThat(error).as(what).isInstanceOf(StorageException.class);
            assertThat(error).as(what).message().containsPattern(cause(fault));
            assertThat(recorder.tookUntilError().completionTokens())
                .as(what)
                .isEqualTo(said.size());
          }
        }
        assertThat(recorders.getLast().error()).as("a sequence that needs no disk").isNull();
        injected += files.injected();
        assertThat(engine.status().failure()).as("the engine lives").isNull();
        // Once the disk is well again, so is the engine.
        files.heal();
        await().until(() -> engine.status().nvmeFailure() == null);
        assertSame(
            "after " + fault,
            generate(engine, requests().getFirst()).tokens(),
            expected.getFirst());
      }
      assertNothingIsLeft();
    }
    assertThat(injected).as("faults injected").isPositive();
    assertThat(failures).as("generations that failed with " + fault).isPositive();
  }

  /** What an error message must name. */
  private static String cause(Fault fault) {
    return switch (fault) {
      case READ_EIO, WRITE_EIO -> "Input/output error";
      case WRITE_ENOSPC -> "No space left";
      case SHORT_READ -> "(?i)bytes|short|end";
      case SHORT_WRITE -> "(?i)bytes|short|0";
      case FLIP_ON_READ, FLIP_ON_WRITE, LOST_WRITE, MISPLACED_WRITE -> "(?i)checksum|damaged";
    };
  }

  @Test
  void aDiskThatDoesNotAnswerFailsWhoNeedsItAndNoOther() {
    List<List<GeneratedToken>> expected = withoutFaults();
    EngineShape shape = SHAPE.withTimeouts(Duration.ofMillis(200), Duration.ofSeconds(20));
    FaultyFiles files = faulty(shape);
    try (KvDriveEngine engine = start(settings(shape).withNvme(nvme -> nvme.withFiles(files)))) {
      Recorder needs = new Recorder();
      needs.onToken(
          token -> {
            if (needs.tokens().size() == 5) {
              files.hold();
            }
          });
      Recorder other = new Recorder();
      engine.submit(requests().getFirst(), needs);
      engine.submit(requests().getLast(), other);
      GenerationException error = needs.await().failure();
      // It waited for what it needs, or for room where something was being written as well.
      assertThat(error)
          .isInstanceOf(StorageException.class)
          .hasMessageMatching(".*(in time|did not end in).*")
          .hasMessageNotContaining(directory.toString());
      // What it needs may be in its window for some tokens more.
      int told = needs.tokens().size();
      assertThat(told).isBetween(5, expected.getFirst().size() - 1);
      assertSame("until then", needs.tokens(), expected.getFirst().subList(0, told));
      GenerationUsage took = needs.tookUntilError();
      assertThat(took.completionTokens()).isEqualTo(told);
      assertThat(took.prefillNanos()).isPositive();
      assertThat(took.decodeStalledNanos()).isPositive();
      assertThat(took.decodeStalledNanos() + took.decodeNvmeNanos())
          .isLessThanOrEqualTo(took.decodeNanos());
      other.await().finish();
      assertSame("the other", other.tokens(), expected.getLast());
      files.release();
      await().until(() -> engine.status().nvmeFailure() == null);
      assertSame(
          "afterwards", generate(engine, requests().getFirst()).tokens(), expected.getFirst());
    } finally {
      files.release();
    }
  }

  @Test
  void whoNeedsNoDiskIsAnsweredWhileAReadHangs() throws Exception {
    List<List<GeneratedToken>> expected = withoutFaults();
    FaultyFiles files = faulty(SHAPE);
    try (KvDriveEngine engine = start(settings(SHAPE).withNvme(nvme -> nvme.withFiles(files)))) {
      CountDownLatch held = new CountDownLatch(1);
      Recorder needs = new Recorder();
      needs.onToken(
          token -> {
            if (needs.tokens().size() == 5) {
              files.hold();
              held.countDown();
            }
          });
      engine.submit(requests().getFirst(), needs);
      assertThat(held.await(60, TimeUnit.SECONDS)).isTrue();
      // Once before and once after the sequence has been parked.
      for (int i = 0; i < 2; i++) {
        assertSame(
            "the short one, while reads hang",
            generate(engine, requests().getLast()).tokens(),
            expected.getLast());
      }
      assertThat(needs.ended()).isFalse();
      files.release();
      assertSame("the other, at last", needs.await().tokens(), expected.getFirst());
      needs.finish();
    } finally {
      files.release();
    }
  }

  @Test
  void whoNeedsNoDiskIsAnsweredWhileAWriteHangs() throws Exception {
    List<List<GeneratedToken>> expected = withoutFaults();
    FaultyFiles files = faulty(SHAPE);
    try (KvDriveEngine engine = start(settings(SHAPE).withNvme(nvme -> nvme.withFiles(files)))) {
      files.hold();
      Recorder needs = new Recorder();
      engine.submit(requests().getFirst(), needs);
      for (int i = 0; i < 2; i++) {
        assertSame(
            "the short one, while writes hang",
            generate(engine, requests().getLast()).tokens(),
            expected.getLast());
      }
      assertThat(needs.tokens()).as("there is no room for its prompt").isEmpty();
      assertThat(needs.ended()).isFalse();
      files.release();
      assertSame("the other, at last", needs.await().tokens(), expected.getFirst());
      needs.finish();
    } finally {
      files.release();
    }
  }

  @Test
  void aDiskThatIsAlwaysLateChangesNoAnswer() {
    List<List<GeneratedToken>> expected = withoutFaults();
    EngineShape shape = SHAPE.withThreads(4);
    FaultyFiles files = faulty(shape);
    try (KvDriveEngine engine = start(settings(shape).withNvme(nvme -> nvme.withFiles(files)))) {
      Recorder needs = new Recorder();
      needs.onToken(token -> files.slow(30));
      Recorder other = new Recorder();
      other.onToken(token -> files.slow(30));
      GenerationRequest first = request("first", prompt(1, 180), random(1), 6);
      GenerationRequest second = request("second", prompt(2, 150), random(2), 6);
      engine.submit(first, needs);
      engine.submit(second, other);
      GenerationUsage took = needs.await().finish().usage();
      other.await().finish();
      assertThat(took.nvmeMisses()).isPositive();
      assertThat(took.decodeNvmeNanos()).as("steps while chunks were on their way").isPositive();
      assertThat(took.decodeStalledNanos()).as("between steps, since it was late").isPositive();
      assertThat(took.decodeStalledNanos() + took.decodeNvmeNanos())
          .isLessThanOrEqualTo(took.decodeNanos());
      assertSame("the first", needs.tokens(), expected.get(0).subList(0, 6));
      assertSame("the second", other.tokens(), expected.get(1).subList(0, 6));
    }
  }

  @Test
  void afterADiskHasHungWhatNeedsItFailsAtOnceAndAProbeBringsItBack() {
    List<List<GeneratedToken>> expected = withoutFaults();
    EngineShape shape =
        SHAPE.withThreads(4).withTimeouts(Duration.ofMillis(200), Duration.ofMillis(200));
    FaultyFiles files = faulty(shape);
    try (KvDriveEngine engine = start(settings(shape).withNvme(nvme -> nvme.withFiles(files)))) {
      files.hold();
      generate(engine, requests().getFirst()).failure();
      await().until(() -> engine.status().nvmeFailure() != null);
      for (int i = 0; i < 4; i++) {
        GenerationException error = generate(engine, requests().getFirst()).failure();
        assertThat(error)
            .isInstanceOf(StorageException.class)
            .hasMessageContaining("check the drive");
      }
      assertSame(
          "who needs no disk", generate(engine, requests().getLast()).tokens(), expected.getLast());
      files.release();
      await().until(() -> engine.status().nvmeFailure() == null);
      assertSame(
          "afterwards", generate(engine, requests().getFirst()).tokens(), expected.getFirst());
    } finally {
      files.release();
    }
  }

  @ParameterizedTest
  @EnumSource
  void anEngineEndsInTimeAlthoughTheDiskNeverAnswersAndKeepsItsMemory(Access access)
      throws Exception {
    EngineShape shape = SHAPE.withTimeouts(Duration.ofHours(1), Duration.ofHours(1));
    Device own = open(CAPACITY, 2);
    SilentDisk disk = new SilentDisk(access);
    KvDriveEngine engine =
        KvDriveEngine.start(
            model, tokenizer, own, settings(shape).withNvme(nvme -> nvme.withFiles(disk)));
    Recorder recorder = new Recorder();
    recorder.onToken(
        token -> {
          if (recorder.tokens().size() == 5) {
            disk.falls();
          }
        });
    if (access == Access.WRITE) {
      recorder.onPrefill(disk::falls);
    }
    engine.submit(requests().getFirst(), recorder);
    assertThat(disk.asked.await(60, TimeUnit.SECONDS)).isTrue();
    assertThat(engine.drain(Duration.ofMillis(1))).isFalse();
    engine.close();
    assertThat(recorder.await().ended()).isTrue();
    assertThat(engine.released()).isFalse();
    assertThat(own.hostBytes()).as("what the read may still write to").isPositive();
    assertThat(nvmeFiles()).as("what the read is of").isNotEmpty();
    // Only for the sake of the other tests: in use the process ends now.
    disk.rises();
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith("kvdrive-nvme")) {
        thread.join();
      }
    }
    own.close();
    for (Path file : nvmeFiles()) {
      Files.delete(file);
    }
  }

  /** What a disk is asked for. */
  enum Access {
    READ,
    WRITE
  }

  /** Files that do not answer any more, and whose close waits for what is under way. */
  private static final class SilentDisk implements ExtentFile.Opener {
    private final Access never;
    private final CountDownLatch asked = new CountDownLatch(1);
    private final CountDownLatch risen = new CountDownLatch(1);
    private volatile boolean silent;

    SilentDisk(Access never) {
      this.never = never;
    }

    void falls() {
      silent = true;
    }

    void rises() {
      risen.countDown();
    }

    private void answer(boolean asked) throws IOException {
      if (silent && asked) {
        this.asked.countDown();
        try {
          risen.await();
        } catch (InterruptedException e) {
          throw new IOException(e);
        }
      }
    }

    @Override
    public ExtentFile create(Path path, long bytes, boolean direct) throws IOException {
      ExtentFile file = ExtentFile.Opener.FILES.create(path, bytes, direct);
      return new ExtentFile() {
        @Override
        public int read(ByteBuffer target, long offset) throws IOException {
          answer(never == Access.READ);
          return file.read(target, offset);
        }

        @Override
        public int write(ByteBuffer source, long offset) throws IOException {
          answer(never == Access.WRITE);
          return file.write(source, offset);
        }

        @Override
        public void close() throws IOException {
          answer(true);
          file.close();
        }
      };
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"READ_EIO", "SHORT_READ", "WRITE_EIO", "WRITE_ENOSPC", "LOST_WRITE"})
  void aDiskThatFailsIsSeenAndIsUsedAgainOnceItWorks(Fault fault) {
    List<List<GeneratedToken>> expected = withoutFaults();
    FaultyFiles files = faulty(SHAPE);
    try (KvDriveEngine engine = start(settings(SHAPE).withNvme(nvme -> nvme.withFiles(files)))) {
      assertThat(engine.status().nvmeFailure()).isNull();
      files.with(fault, 1);
      generate(engine, requests().getFirst()).failure();
      generate(engine, requests().getFirst()).failure();
      assertThat(engine.status().nvmeFailure())
          .as("what is said of the disk")
          .containsPattern(cause(fault))
          .contains(fault == Fault.WRITE_ENOSPC ? "the NVMe volume is full" : "check the drive")
          .doesNotContain(directory.toString());
      assertThat(engine.status().failure()).as("the engine lives").isNull();
      assertSame(
          "a sequence that needs no disk",
          generate(engine, requests().getLast()).tokens(),
          expected.getLast());
      files.heal();
      await().until(() -> engine.status().nvmeFailure() == null);
      assertSame(
          "after " + fault, generate(engine, requests().getFirst()).tokens(), expected.getFirst());
    }
  }

  @Test
  void aDiskThatHangsIsSeen() {
    EngineShape shape = SHAPE.withTimeouts(Duration.ofMillis(200), Duration.ofMillis(500));
    FaultyFiles files = faulty(shape);
    try (KvDriveEngine engine = start(settings(shape).withNvme(nvme -> nvme.withFiles(files)))) {
      Recorder recorder = new Recorder();
      recorder.onToken(
          token -> {
            if (recorder.tokens().size() == 5) {
              files.hold();
            }
          });
      engine.submit(requests().getFirst(), recorder);
      recorder.await().failure();
      for (int i = 0; i < 4 && engine.status().nvmeFailure() == null; i++) {
        generate(engine, requests().getFirst()).failure();
      }
      assertThat(engine.status().nvmeFailure()).contains("did not answer in time");
      files.release();
      await().until(() -> engine.status().nvmeFailure() == null);
      generate(engine, requests().getFirst()).finish();
    } finally {
      files.release();
    }
  }

  @Test
  void aSingleErrorIsNoReasonToGiveADiskUp() {
    FaultyFiles files = faulty(SHAPE);
    try (KvDriveEngine engine = start(settings(SHAPE).withNvme(nvme -> nvme.withFiles(files)))) {
      for (Fault fault : Fault.values()) {
        files.once(fault);
        generate(engine, requests().getFirst());
        assertThat(engine.status().nvmeFailure()).as("after one " + fault).isNull();
      }
    }
  }

  @Test
  void aDiskThatIsSlowOnlyDelays() throws Exception {
    List<List<GeneratedToken>> expected = withoutFaults();
    FaultyFiles files = faulty(SHAPE);
    CountDownLatch held = new CountDownLatch(1);
    try (KvDriveEngine engine = start(settings(SHAPE).withNvme(nvme -> nvme.withFiles(files)))) {
      Recorder recorder = new Recorder();
      recorder.onToken(
          token -> {
            if (recorder.tokens().size() == 5) {
              files.hold();
              held.countDown();
            }
          });
      engine.submit(requests().getFirst(), recorder);
      assertThat(held.await(60, TimeUnit.SECONDS)).isTrue();
      files.release();
      assertSame("after the delay", recorder.await().tokens(), expected.getFirst());
      recorder.finish();
    }
  }

  /**
   * Many faults of every kind, at random from a seed: single ones and bursts, drives that are slow
   * and that hang, several sequences at once.
   */
  @Test
  void whateverADiskDoesNothingIsWrongNothingHangsAndNothingIsLeft() throws IOException {
    List<List<GeneratedToken>> expected = withoutFaults();
    Random random = new Random(SWEEP_SEED);
    Map<String, Integer> kinds = new TreeMap<>();
    int injected = 0;
    int answers = 0;
    int errors = 0;
    int refusals = 0;
    int engines = 0;
    SetClock clock = new SetClock();
    while (injected < SWEEP_FAULTS) {
      EngineShape shape =
          SHAPE
              .withEncryption(form(engines++))
              .withSeats(3)
              .withThreads(1 + random.nextInt(4))
              .withFrames(random.nextBoolean() ? 0 : 12)
              .withTimeouts(Duration.ofMillis(300), Duration.ofMillis(300));
      FaultyFiles files = new FaultyFiles(random.nextLong(), faultyExtentBytes(shape));
      Counted counted = new Counted(files);
      EngineSettings limited = settings(shape);
      long perDay = writes(limited.sizes(), 204, SWEEP_WRITES);
      try (KvDriveEngine engine =
          start(
              limited.withNvme(nvme -> nvme.withWritesPerDay(perDay, clock).withFiles(counted)))) {
        for (int round = 0; round < 10; round++) {
          clock.pass(Duration.ofMinutes(random.nextInt(6 * 60)));
          List<Recorder> recorders = new ArrayList<>();
          disturb(files, random);
          int hangAt = random.nextInt(8) == 0 ? random.nextInt(20) : -1;
          for (GenerationRequest request : requests()) {
            Recorder recorder = new Recorder();
            recorder.onToken(
                token -> {
                  if (recorder.tokens().size() == hangAt) {
                    files.hold();
                  }
                });
            recorders.add(recorder);
            try {
              engine.submit(request, recorder);
            } catch (EngineBusyException busy) {
              recorder.refused(busy);
            }
          }
          for (int i = 0; i < recorders.size(); i++) {
            Recorder recorder = recorders.get(i).await();
            String what = "seed %d, request %d of round %d".formatted(SWEEP_SEED, i, round);
            List<GeneratedToken> said = recorder.tokens();
            assertSame(what, said, expected.get(i).subList(0, said.size()));
            if (recorder.error() == null) {
              answers++;
              assertThat(said).as(what).hasSameSizeAs(expected.get(i));
            } else if (recorder.error() instanceof EngineBusyException) {
              refusals++;
              assertThat(said).as(what).isEmpty();
            } else {
              errors++;
              assertThat(recorder.failure()).as(what).hasMessageContaining(";");
            }
          }
          assertThat(recorders.getLast().error()).as("who needs no disk").isNull();
          files.heal();
          files.slow(0);
          files.release();
          await().atMost(Duration.ofMinutes(1)).until(() -> engine.status().nvmeFailure() == null);
          assertThat(engine.status().failure()).as("the engine lives").isNull();
          for (EngineStatus.Tier tier : engine.status().tiers()) {
            assertThat(tier.kvBytes()).as(tier.name()).isZero();
          }
          EngineStatus seen = engine.status();
          assertThat(counted.bytes.sum()).isLessThanOrEqualTo(seen.nvmeWritten().bytes());
          if (perDay > 0) {
            // Only what is repeated, and what asks whether the drive works, comes beside it.
            assertThat(seen.nvmeWritten().lastDay())
                .isLessThanOrEqualTo(
                    perDay
                        + seen.ioErrors() * faultyExtentBytes(shape)
                        + (4 + counted.probes.sum()) * BLOCK);
          }
        }
        clock.pass(Duration.ofHours(25));
        Recorder after = generate(engine, requests().getFirst());
        after.finish();
        assertSame("after all", after.tokens(), expected.getFirst());
      } finally {
        files.release();
      }
      assertNothingIsLeft();
      injected += files.injected();
      files.injectedByKind().forEach((kind, count) -> kinds.merge(kind, count, Integer::sum));
    }
    System.getLogger(FaultConformance.class.getName())
        .log(
            System.Logger.Level.INFO,
            "{0} faults injected ({1}): {2} answers, all right; {3} errors, each with its cause; {4} refused for the day",
            injected,
            kinds,
            answers,
            errors,
            refusals);
    assertThat(answers).isPositive();
  }

  /** Counts what is written. */
  private static final class Counted implements ExtentFile.Opener {
    private final ExtentFile.Opener files;
    private final LongAdder bytes = new LongAdder();
    private final LongAdder probes = new LongAdder();

    Counted(ExtentFile.Opener files) {
      this.files = files;
    }

    @Override
    public ExtentFile create(Path path, long size, boolean direct) throws IOException {
      ExtentFile file = files.create(path, size, direct);
      boolean probe = path.toString().contains("probe");
      return new ExtentFile() {
        @Override
        public int read(ByteBuffer target, long offset) throws IOException {
          return file.read(target, offset);
        }

        @Override
        public int write(ByteBuffer source, long offset) throws IOException {
          int written = file.write(source, offset);
          bytes.add(written);
          probes.add(probe ? 1 : 0);
          return written;
        }

        @Override
        public long writtenAtStart() {
          return file.writtenAtStart();
        }

        @Override
        public void close() throws IOException {
          file.close();
        }
      };
    }
  }

  private int faultyExtentBytes(EngineShape shape) {
    return shape.sizes(model.geometry(), device).layout().extentBytes();
  }

  private static void disturb(FaultyFiles files, Random random) {
    double[] shares = {0.02, 0.08, 0.25};
    Fault[] kinds = Fault.values();
    for (int i = 1 + random.nextInt(3); i > 0; i--) {
      files.with(kinds[random.nextInt(kinds.length)], shares[random.nextInt(shares.length)]);
    }
    if (random.nextInt(10) == 0) {
      files.slow(1 + random.nextInt(5));
    }
    if (random.nextInt(5) == 0) {
      files.holdNext();
    }
  }

  @Test
  void aDiskWithoutRoomIsRefusedAtTheStart() throws IOException {
    FaultyFiles files = faulty(SHAPE).refuseSpace();
    assertThatThrownBy(() -> start(settings(SHAPE).withNvme(nvme -> nvme.withFiles(files))))
        .isInstanceOf(TierException.class)
        .hasMessageContaining("no space left");
    assertNothingIsLeft();
  }
}

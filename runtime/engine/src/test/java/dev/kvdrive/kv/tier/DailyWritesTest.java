package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How much may be written in a day, and how a process that comes later knows. */
class DailyWritesTest {
  private static final long LIMIT = 256_000;
  private static final long STEP = LIMIT / 256;

  @TempDir Path folder;

  private final SetClock clock = new SetClock();

  private DailyWrites open() throws IOException {
    return DailyWrites.in(folder, LIMIT, clock);
  }

  private Path recordFile() {
    return folder.resolve(DailyWrites.RECORD_NAME);
  }

  private static void write(DailyWrites writes, long bytes) throws IOException {
    assertThat(writes.take(bytes)).isTrue();
    writes.record();
  }

  @Test
  void noMoreIsTakenThanIsLeft() throws IOException {
    DailyWrites writes = open();
    assertThat(writes.take(LIMIT + 1)).isFalse();
    assertThat(writes.take(200_000)).isTrue();
    assertThat(writes.take(56_001)).isFalse();
    assertThat(writes.take(56_000)).isTrue();
    assertThat(writes.left()).isZero();
    writes.add(1);
    assertThat(writes.left()).as("what is repeated counts too").isEqualTo(-1);
    assertThat(writes.sinceStart()).isEqualTo(LIMIT + 1);
  }

  @Test
  void inNoTwentyFourHoursIsMoreWrittenThanMayBe() throws IOException {
    DailyWrites writes = open();
    SplittableRandom random = new SplittableRandom(3);
    List<long[]> taken = new ArrayList<>();
    for (int i = 0; i < 3_000; i++) {
      clock.pass(Duration.ofSeconds(random.nextLong(4_000)));
      long now = clock.instant().getEpochSecond();
      long bytes = random.nextLong(30_000);
      if (writes.take(bytes)) {
        taken.add(new long[] {now, bytes});
      }
      long day = taken.stream().filter(t -> t[0] > now - 86_400).mapToLong(t -> t[1]).sum();
      assertThat(day).isLessThanOrEqualTo(LIMIT).isLessThanOrEqualTo(writes.lastDay());
    }
    assertThat(taken).hasSizeGreaterThan(500);
  }

  @Test
  void whatWasWrittenCountsForADayAndNotForTwo() throws IOException {
    DailyWrites writes = open();
    write(writes, LIMIT);
    clock.pass(Duration.ofHours(24));
    assertThat(writes.left()).isZero();
    assertThat(writes.until(1)).isEqualTo(Duration.ofMinutes(30));
    clock.pass(Duration.ofMinutes(30));
    assertThat(writes.left()).isEqualTo(LIMIT);
    assertThat(writes.until(LIMIT)).isZero();
    assertThat(writes.sinceStart()).isEqualTo(LIMIT);
  }

  @Test
  void whoComesBackGoesOnWhereTheLastStopped() throws IOException {
    DailyWrites first = open();
    write(first, 1_000);
    clock.pass(Duration.ofHours(5));
    write(first, 2_000);
    first.close();
    clock.pass(Duration.ofHours(5));
    DailyWrites second = open();
    assertThat(second.lastDay()).isEqualTo(3_000);
    assertThat(second.sinceStart()).isZero();
    clock.pass(Duration.ofHours(15));
    assertThat(second.lastDay()).isEqualTo(2_000);
  }

  @Test
  void whoIsKilledHasNeverWrittenMoreThanTheRecordSays() throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    long written = 0;
    for (int life = 0; life < 20; life++) {
      DailyWrites writes = open();
      long known = writes.lastDay();
      assertThat(known).isBetween(written, written + life * STEP);
      for (int i = 0; i < 5; i++) {
        long bytes = random.nextLong(1_500);
        write(writes, bytes);
        known += bytes;
        written += bytes;
      }
      assertThat(writes.lastDay()).isEqualTo(known);
    }
  }

  @Test
  void theRecordIsNotWrittenForEveryWrite() throws IOException {
    DailyWrites writes = open();
    Set<String> records = new HashSet<>();
    for (int i = 0; i < 2_560; i++) {
      write(writes, 100);
      records.add(Files.readString(recordFile()));
    }
    assertThat(records).hasSizeLessThanOrEqualTo(257);
  }

  @Test
  void aDamagedRecordCountsAsNothing() throws IOException {
    DailyWrites before = open();
    write(before, 100_000);
    before.close();
    byte[] good = Files.readAllBytes(recordFile());
    for (int i = 0; i < good.length; i++) {
      byte[] bad = good.clone();
      bad[i] ^= 4;
      Files.write(recordFile(), bad);
      assertThat(open().lastDay()).as("byte %d", i).isZero();
      Files.write(recordFile(), Arrays.copyOf(good, i));
      assertThat(open().lastDay()).as("%d bytes", i).isZero();
    }
    Files.write(recordFile(), new byte[1 << 20]);
    DailyWrites begunAnew = open();
    assertThat(begunAnew.left()).isEqualTo(LIMIT);
    write(begunAnew, 7);
    begunAnew.close();
    assertThat(open().lastDay()).isEqualTo(7);
  }

  @Test
  void whatIsNoRecordIsLeftAloneAndRefused() throws IOException {
    Files.createDirectory(recordFile());
    assertThatThrownBy(this::open).hasMessageContaining("remove it, or name another folder");
    Files.delete(recordFile());
    Path elsewhere = Files.writeString(folder.resolve("elsewhere"), "precious");
    Files.createSymbolicLink(recordFile(), elsewhere);
    assertThatThrownBy(this::open).hasMessageContaining("remove it, or name another folder");
    assertThat(elsewhere).hasContent("precious");
  }

  @Test
  void aClockThatWasYearsAheadBlocksForADayAtMost() throws IOException {
    clock.pass(Duration.ofDays(4_000));
    DailyWrites ahead = open();
    write(ahead, LIMIT);
    clock.pass(Duration.ofDays(-4_000));
    assertThat(ahead.left()).isZero();
    ahead.close();
    DailyWrites later = open();
    assertThat(later.left()).isZero();
    clock.pass(Duration.ofHours(25));
    assertThat(later.left()).isEqualTo(LIMIT);
    assertThat(ahead.left()).isEqualTo(LIMIT);
  }

  @Test
  void withoutALimitEverythingIsCountedAndNothingKept() throws IOException {
    DailyWrites writes = DailyWrites.in(folder, 0, clock);
    assertThat(writes.take(1L << 50)).isTrue();
    writes.record();
    writes.close();
    assertThat(writes.lastDay()).isEqualTo(1L << 50);
    assertThat(writes.perDay()).isZero();
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void theRecordIsItsOwnersOnly() throws IOException {
    open().close();
    assertThat(Files.getPosixFilePermissions(recordFile()))
        .containsExactlyInAnyOrder(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);
  }
}

package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ExtentFilesTest {
  private static final int EXTENT = 8192;

  @TempDir Path parent;

  private Path directory() {
    return parent.resolve("tier");
  }

  private ExtentFiles create(int slots, Direct direct, ExtentFile.Opener opener) {
    return ExtentFiles.create(
        slots,
        slots,
        EXTENT,
        4L * EXTENT,
        new NvmeOptions(directory(), direct, 1, Duration.ofSeconds(1)).withFiles(opener));
  }

  private ExtentFiles create(int slots) {
    return create(slots, Direct.PREFERRED, ExtentFile.Opener.FILES);
  }

  @Test
  void everySlotKeepsItsBytes() throws IOException {
    try (ExtentFiles files = create(11);
        Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(EXTENT, 4096);
      for (int slot = 0; slot < 11; slot++) {
        buffer.fill((byte) (slot + 1));
        files.write(slot, buffer.asByteBuffer());
      }
      for (int slot = 10; slot >= 0; slot--) {
        buffer.fill((byte) 0);
        files.read(slot, buffer.asByteBuffer());
        assertThat(buffer.get(ValueLayout.JAVA_BYTE, EXTENT - 1)).isEqualTo((byte) (slot + 1));
      }
      assertThat(files.where(5)).endsWith("-0001.kv at offset 8192");
    }
  }

  @Test
  void filesHaveTheirFullSizeFromTheStartAndAreForTheirOwnerOnly() throws IOException {
    try (ExtentFiles files = create(6)) {
      assertThat(files.where(0)).isNotBlank();
      Path first = file("0000");
      assertThat(first).hasSize(4L * EXTENT);
      assertThat(file("0001")).hasSize(2L * EXTENT);
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(first)))
          .isEqualTo("rw-------");
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(directory())))
          .isEqualTo("rwx------");
      assertThat(((Number) Files.getAttribute(first, "unix:nlink")).intValue()).isEqualTo(1);
    }
    assertThat(directory()).isDirectoryNotContaining("glob:**.kv");
  }

  /** The file of the tier with this number, whose name has a token before it. */
  private Path file(String number) throws IOException {
    try (Stream<Path> files = Files.list(directory())) {
      return files
          .filter(f -> f.toString().matches(".*kvdrive-extents-[0-9a-f]{16}-" + number + "\\.kv"))
          .toList()
          .getFirst();
    }
  }

  private List<Path> all() throws IOException {
    try (Stream<Path> files = Files.list(directory())) {
      return files.toList();
    }
  }

  /** What a process leaves that is killed: its files, and in the lock file whose they are. */
  private void crash(int slots) throws IOException {
    Path aside = Files.createDirectory(parent.resolve("aside"));
    try (ExtentFiles files = create(slots)) {
      assertThat(files.slots()).isEqualTo(slots);
      for (Path file : all()) {
        Files.copy(file, aside.resolve(file.getFileName()));
      }
    }
    try (Stream<Path> files = Files.list(aside)) {
      for (Path file : files.toList()) {
        Files.move(
            file, directory().resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  @Test
  void leftOversOfACrashAreRemovedAndCountAsRoom() throws IOException {
    crash(6);
    List<Path> left = all().stream().filter(f -> f.toString().endsWith(".kv")).toList();
    assertThat(left).hasSize(3); // two files and the block that is probed
    assertThat(ExtentFiles.leftOverBytes(directory())).isEqualTo(6L * EXTENT + 4096);
    try (ExtentFiles files = create(2)) {
      assertThat(files.slots()).isEqualTo(2);
      assertThat(left).noneMatch(Files::exists);
    }
    assertThat(all()).containsExactly(directory().resolve("kvdrive.lock"));
    assertThat(ExtentFiles.leftOverBytes(directory())).isZero();
  }

  @Test
  void filesOfOthersStayWhateverTheirNames() throws IOException {
    Files.createDirectory(directory());
    List<Path> others = new ArrayList<>();
    for (String name :
        List.of(
            "kvdrive-extents-0000.kv",
            "kvdrive-extents-0123456789abcdef-0000.kv",
            "kvdrive-extents-0123456789abcdef-probe.kv",
            "notes")) {
      others.add(Files.writeString(directory().resolve(name), "mine"));
    }
    Path taken;
    try (ExtentFiles files = create(2)) {
      assertThat(files.slots()).isEqualTo(2);
      // While it runs, somebody puts his own file in the place of one.
      taken =
          all().stream()
              .filter(f -> !others.contains(f) && f.toString().endsWith("-0000.kv"))
              .toList()
              .getFirst();
      Files.delete(taken);
      Files.writeString(taken, "mine");
      others.add(taken);
    }
    assertThat(others).allSatisfy(file -> assertThat(file).hasContent("mine"));
    create(2).close();
    assertThat(others).allSatisfy(file -> assertThat(file).hasContent("mine"));
    assertThat(all()).hasSize(others.size() + 1);
  }

  @Test
  void leftOversThatNoLockFileClaimsStayAndAreNamed() throws IOException {
    crash(6);
    assertThat(ExtentFiles.unclaimed(directory()))
        .contains("%,d bytes".formatted(6L * EXTENT + 4096));
    Path lock = directory().resolve("kvdrive.lock");
    String token = Files.readString(lock).strip().replace("extents of ", "");
    Files.writeString(lock, "");
    Files.writeString(directory().resolve("kvdrive-extents-mine.kv"), "mine");
    create(2).close();
    assertThat(ExtentFiles.unclaimed(directory()))
        .contains(
            "in %s are in files that no runtime has claimed: kvdrive-extents-%s-*.kv. "
                .formatted(directory().toRealPath(), token))
        .contains("can be deleted if no other runtime uses the folder");
    try (Stream<Path> files = Files.list(directory())) {
      for (Path file : files.filter(f -> f.toString().contains(token)).toList()) {
        Files.delete(file);
      }
    }
    assertThat(ExtentFiles.unclaimed(directory())).isNull();
  }

  @Test
  void aLockFileThatIsNoneIsLeftAlone() throws IOException {
    Files.createDirectory(directory());
    Path lock = Files.writeString(directory().resolve("kvdrive.lock"), "my notes\n");
    assertThatThrownBy(() -> create(2))
        .isInstanceOf(TierException.class)
        .hasMessageContaining("kvdrive.lock there is not the lock file of an engine; remove it");
    assertThat(lock).hasContent("my notes");
  }

  @Test
  void takesWhatThereIsRoomForIfThatIsEnough() throws IOException {
    long room = NvmeFolder.open(directory()).roomBytes();
    int most = (int) Math.min(Integer.MAX_VALUE, room / EXTENT + 100);
    int seen = 0;
    for (long planned : new long[] {2, most}) {
      ExtentFile.Opener none =
          (path, bytes, direct) -> ExtentFile.Opener.FILES.create(path, 4096, direct);
      try (ExtentFiles files =
          ExtentFiles.create(
              2,
              (int) planned,
              EXTENT,
              Long.MAX_VALUE,
              new NvmeOptions(directory(), Direct.OFF, 1, Duration.ofSeconds(1)).withFiles(none))) {
        seen = files.slots();
        assertThat((long) seen).isBetween(2L, planned);
      }
    }
    assertThat((long) seen).isBetween(room / EXTENT / 2, (long) most - 1);
  }

  @Test
  void twoEnginesCannotShareADirectory() throws IOException {
    try (ExtentFiles files = create(2)) {
      assertThat(files.where(0)).isNotBlank();
      assertThatThrownBy(() -> create(2))
          .isInstanceOf(TierException.class)
          .hasMessageContaining("locked by another engine")
          .hasMessageContaining("give each its own directory");
      assertThat(file("0000")).as("the loser removes nothing").exists();
    }
    create(2).close(); // free again
  }

  @Test
  void aDiskWithoutRoomIsAnErrorAtStart() throws IOException {
    long free = Files.getFileStore(parent).getUsableSpace();
    int slots = (int) Math.min(Integer.MAX_VALUE, free / EXTENT + 1_000_000);
    assertThatThrownBy(() -> create(slots))
        .isInstanceOf(TierException.class)
        .message()
        .contains("no space left on device")
        .contains("the extents need %,d bytes".formatted((long) slots * EXTENT))
        .contains("are free for them")
        .contains("larger volume");
    assertThatThrownBy(() -> create(2, Direct.OFF, new FaultyFiles(1, EXTENT).refuseSpace()))
        .isInstanceOf(TierException.class)
        .hasMessageContaining("no space left on device");
    assertThatThrownBy(() -> create(2, Direct.PREFERRED, new FaultyFiles(1, EXTENT).refuseSpace()))
        .hasMessageContaining("no space left on device");
    assertThat(directory()).isDirectoryNotContaining("glob:**.kv");
  }

  @Test
  void aFileInThePlaceOfTheDirectoryIsNamed() throws IOException {
    Files.writeString(directory(), "");
    assertThatThrownBy(() -> create(2)).hasMessageContaining("it is not a directory");
  }

  @Test
  void aFolderThatCannotBeMadeSaysWhy() throws IOException {
    Files.writeString(parent.resolve("file"), "");
    assertThatThrownBy(() -> NvmeFolder.open(parent.resolve("file/tier")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("Not a directory");
  }

  @Test
  void aFolderThatMayNotBeWrittenSaysWhoMayNot() throws IOException {
    Path closed = Files.createDirectory(parent.resolve("closed"));
    Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("r-xr-xr-x"));
    assumeFalse(Files.isWritable(closed), "root may write everywhere");
    assertThatThrownBy(() -> NvmeFolder.open(closed))
        .hasMessageContaining(
            "user %s may not write there".formatted(System.getProperty("user.name")));
    assertThatThrownBy(() -> NvmeFolder.open(closed.resolve("tier")))
        .hasMessageContaining("may not write there");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "tmpfs | is tmpfs, which is memory",
        "btrfs | chattr +C",
        "zfs | to a new place",
        "overlay | no volume of its own; mount a volume there",
        "nfs4 | goes to another machine",
      })
  void aFilesystemThatIsNoDriveIsNamedWithWhatToDo(String filesystem, String advice) {
    NvmeFolder folder = new NvmeFolder(parent, filesystem);
    assertThat(folder.warning()).contains(filesystem).contains(advice);
    assertThat(folder.refusal() != null).isEqualTo(filesystem.equals("tmpfs"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"ext4", "xfs", "ext2/ext3"})
  void nothingIsSaidOfOrdinaryFilesystems(String filesystem) {
    assertThat(new NvmeFolder(parent, filesystem).warning()).isNull();
    assertThat(new NvmeFolder(parent, filesystem).refusal()).isNull();
  }

  @Test
  void refusedDirectAccessIsADowngradeOrAnErrorAsAsked() throws IOException {
    FaultyFiles refusing = new FaultyFiles(1, EXTENT).refuseDirect();
    try (ExtentFiles files = create(6, Direct.PREFERRED, refusing);
        Arena arena = Arena.ofConfined()) {
      assertThat(files.direct()).isFalse();
      MemorySegment buffer = arena.allocate(EXTENT, 4096);
      files.write(5, buffer.asByteBuffer());
      files.read(5, buffer.asByteBuffer());
    }
    assertThatThrownBy(() -> create(6, Direct.REQUIRED, refusing))
        .isInstanceOf(TierException.class)
        .hasMessageContaining("O_DIRECT is required")
        .hasMessageContaining("Invalid argument");
  }

  @Test
  void directAccessThatDoesNotReallyWorkIsRefused() {
    FaultyFiles broken = new FaultyFiles(1, EXTENT).once(FaultyFiles.Fault.READ_EIO);
    try (ExtentFiles files = create(2, Direct.PREFERRED, broken)) {
      assertThat(files.direct()).isFalse();
    }
  }

  @Test
  void preallocationWritesZerosWhereTheSystemCannotAllocate() throws IOException {
    Path file = Files.createFile(parent.resolve("zeros"));
    Preallocation.writeZeros(file, 3L << 20);
    assertThat(file).hasSize(3L << 20);
    assertThat(Files.readAllBytes(file)).isEqualTo(new byte[3 << 20]);
    Path allocated = Files.createFile(parent.resolve("allocated"));
    Preallocation.allocate(allocated, 5 * 4096);
    assertThat(allocated).hasSize(5 * 4096);
  }
}

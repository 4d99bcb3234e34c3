package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExtentFilesTest {
  private static final int EXTENT = 8192;

  @TempDir Path parent;

  private Path directory() {
    return parent.resolve("tier");
  }

  private ExtentFiles create(int slots, Direct direct, ExtentFile.Opener opener) {
    return ExtentFiles.create(
        slots,
        EXTENT,
        4L * EXTENT,
        new NvmeOptions(directory(), direct, 1, Duration.ofSeconds(1)),
        opener);
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
      assertThat(files.where(5)).endsWith("kvdrive-extents-0001.kv at offset 8192");
    }
  }

  @Test
  void filesHaveTheirFullSizeFromTheStartAndAreForTheirOwnerOnly() throws IOException {
    try (ExtentFiles files = create(6)) {
      assertThat(files.where(0)).isNotBlank();
      Path first = directory().resolve("kvdrive-extents-0000.kv");
      assertThat(first).hasSize(4L * EXTENT);
      assertThat(directory().resolve("kvdrive-extents-0001.kv")).hasSize(2L * EXTENT);
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(first)))
          .isEqualTo("rw-------");
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(directory())))
          .isEqualTo("rwx------");
      assertThat(((Number) Files.getAttribute(first, "unix:nlink")).intValue()).isEqualTo(1);
    }
    assertThat(directory()).isDirectoryNotContaining("glob:**.kv");
  }

  @Test
  void leftOversOfACrashAreRemovedAndNothingElseIs() throws IOException {
    Files.createDirectory(directory());
    Path leftOver = Files.writeString(directory().resolve("kvdrive-extents-0007.kv"), "old");
    Path foreign = Files.writeString(directory().resolve("kvdrive-extents-0007.kv.txt"), "mine");
    Path notes = Files.writeString(directory().resolve("notes"), "mine");
    try (ExtentFiles files = create(2)) {
      assertThat(files.where(0)).isNotBlank();
      assertThat(leftOver).doesNotExist();
    }
    assertThat(foreign).hasContent("mine");
    assertThat(notes).hasContent("mine");
  }

  @Test
  void twoEnginesCannotShareADirectory() {
    try (ExtentFiles files = create(2)) {
      assertThat(files.where(0)).isNotBlank();
      assertThatThrownBy(() -> create(2))
          .isInstanceOf(TierException.class)
          .hasMessageContaining("locked by another engine")
          .hasMessageContaining("give each its own directory");
      assertThat(directory().resolve("kvdrive-extents-0000.kv"))
          .as("the loser removes nothing")
          .exists();
    }
    create(2).close(); // free again
  }

  @Test
  void aDiskWithoutRoomIsAnErrorAtStart() throws IOException {
    long free = Files.getFileStore(parent).getUsableSpace();
    int slots = (int) Math.min(Integer.MAX_VALUE, free / EXTENT + 1_000_000);
    assertThatThrownBy(() -> create(slots))
        .isInstanceOf(TierException.class)
        .hasMessageContaining("no space left on device")
        .hasMessageContaining("larger volume");
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

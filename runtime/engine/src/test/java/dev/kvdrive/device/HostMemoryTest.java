package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HostMemoryTest {
  private static final Path MAPPINGS = Path.of("/proc/self/smaps");
  private static final Path HUGE_PAGES = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");

  @ParameterizedTest
  @ValueSource(
      longs = {
        1,
        4096,
        HostMemory.HUGE - 1,
        HostMemory.HUGE,
        HostMemory.HUGE + 1,
        3 * HostMemory.HUGE + 5
      })
  void memoryIsZeroAndAlignedAndAllThere(long bytes) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment first = HostMemory.allocate(arena, bytes, 256);
      MemorySegment second = HostMemory.allocate(arena, bytes, 4096);
      assertThat(first.byteSize()).isEqualTo(bytes);
      assertThat(first.address() % 256).isZero();
      assertThat(second.address() % 4096).isZero();
      first.fill((byte) 7);
      for (long at = 0; at < bytes; at += 997) {
        assertThat(second.get(ValueLayout.JAVA_BYTE, at)).isZero();
      }
      assertThat(second.get(ValueLayout.JAVA_BYTE, bytes - 1)).isZero();
      second.set(ValueLayout.JAVA_BYTE, bytes - 1, (byte) 1);
    }
  }

  @Test
  void closedMemoryIsTheSystemsAgain() throws IOException {
    assumeTrue(Files.isReadable(MAPPINGS), "the mappings of a process cannot be read here");
    MemorySegment memory;
    long bytes = 512L << 20;
    long before = resident();
    try (Arena arena = Arena.ofShared()) {
      memory = HostMemory.allocate(arena, bytes, 4096);
      assertThat(resident() - before).as("written to").isGreaterThan(bytes * 9 / 10);
    }
    assertThat(resident() - before).isLessThan(bytes / 2);
    assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  /** Bytes of memory that the process has. */
  private static long resident() throws IOException {
    String pages = Files.readString(Path.of("/proc/self/statm")).split(" ", -1)[1];
    return Long.parseLong(pages) * 4096;
  }

  @Test
  void hugePagesAreAskedForWhereThereAreSome() throws IOException {
    assumeTrue(
        Files.isReadable(MAPPINGS) && Files.isReadable(HUGE_PAGES),
        "no huge pages on request here");
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = HostMemory.allocate(arena, 8 * HostMemory.HUGE, 4096);
      assertThat(flags(memory.address())).hasValueSatisfying(f -> assertThat(f).contains("hg"));
    }
  }

  /** The flags of the mapping that an address lies in. */
  private static Optional<List<String>> flags(long address) throws IOException {
    boolean inside = false;
    for (String line : Files.readAllLines(MAPPINGS)) {
      String[] words = line.split("\\s+", -1);
      if (words[0].matches("[0-9a-f]+-[0-9a-f]+")) {
        String[] bounds = words[0].split("-", -1);
        inside =
            Long.parseUnsignedLong(bounds[0], 16) <= address
                && address < Long.parseUnsignedLong(bounds[1], 16);
      } else if (inside && words[0].equals("VmFlags:")) {
        return Optional.of(List.of(words));
      }
    }
    return Optional.empty();
  }

  @Test
  void moreThanThereIsIsRefused() {
    try (Arena arena = Arena.ofShared()) {
      assertThatThrownBy(() -> HostMemory.allocate(arena, 1L << 60, 4096))
          .isInstanceOf(OutOfMemoryError.class);
    }
  }
}

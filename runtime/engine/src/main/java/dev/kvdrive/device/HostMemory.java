package dev.kvdrive.device;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * Memory of an arena, on Linux in huge pages where the system gives them to those who ask
 * (transparent huge pages): chunks lie all over a tier, and of 4 KiB pages every chunk would need
 * an address looked up in tables of several levels, on a virtual machine twice. A large tier is
 * also ready much sooner: the system makes pages when they are touched, one after the other, which
 * here many threads do.
 */
public final class HostMemory {
  /** Huge pages of x86-64, and of AArch64 with 4 KiB pages. */
  static final long HUGE = 2L << 20;

  private static final long SMALLEST = 4096;

  /** What a thread touches at a time. */
  private static final long PIECE = 256L << 20;

  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_PRIVATE_ANONYMOUS = 0x22;
  private static final int MADV_HUGEPAGE = 14;
  private static final long MAP_FAILED = -1;

  private static final @Nullable Calls CALLS = Calls.link();

  private HostMemory() {}

  /**
   * Allocates memory that is zero and the process's own from here on.
   *
   * @param arena frees it
   * @param bytes more than 0
   * @param alignment a power of two, {@link #HUGE} at most
   * @throws OutOfMemoryError if the system has none
   */
  public static MemorySegment allocate(Arena arena, long bytes, long alignment) {
    return CALLS == null || bytes < HUGE
        ? arena.allocate(bytes, alignment)
        : CALLS.map(arena, bytes);
  }

  /** What of the C library is called. */
  private record Calls(MethodHandle mmap, MethodHandle munmap, MethodHandle madvise) {
    /** Null on another platform, or without native access. */
    static @Nullable Calls link() {
      if (!System.getProperty("os.name").equals("Linux")) {
        return null;
      }
      ValueLayout.OfLong size = ValueLayout.JAVA_LONG;
      ValueLayout.OfInt number = ValueLayout.JAVA_INT;
      try {
        Linker linker = Linker.nativeLinker();
        SymbolLookup lookup = linker.defaultLookup();
        return new Calls(
            linker.downcallHandle(
                lookup.findOrThrow("mmap"),
                FunctionDescriptor.of(size, size, size, number, number, number, size)),
            linker.downcallHandle(
                lookup.findOrThrow("munmap"), FunctionDescriptor.of(number, size, size)),
            linker.downcallHandle(
                lookup.findOrThrow("madvise"), FunctionDescriptor.of(number, size, size, number)));
      } catch (RuntimeException | UnsatisfiedLinkError e) {
        return null;
      }
    }

    MemorySegment map(Arena arena, long bytes) {
      // Whole huge pages only begin where such a page begins.
      long mapped = bytes + HUGE;
      try {
        long address =
            (long) mmap.invokeExact(0L, mapped, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0L);
        if (address == MAP_FAILED) {
          throw new OutOfMemoryError("mmap of %,d bytes".formatted(mapped));
        }
        long aligned = Math.ceilDiv(address, HUGE) * HUGE;
        int refused = (int) madvise.invokeExact(aligned, bytes, MADV_HUGEPAGE);
        assert refused == 0 || refused == -1 : refused; // without such pages ordinary ones do
        MemorySegment memory =
            MemorySegment.ofAddress(aligned)
                .reinterpret(bytes, arena, segment -> unmap(address, mapped));
        LongStream.range(0, Math.ceilDiv(bytes, PIECE))
            .parallel()
            .forEach(piece -> touch(memory, piece * PIECE, Math.min(bytes, (piece + 1) * PIECE)));
        return memory;
      } catch (RuntimeException | Error e) {
        throw e;
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }

    private static void touch(MemorySegment memory, long from, long to) {
      for (long at = from; at < to; at += SMALLEST) {
        memory.set(ValueLayout.JAVA_BYTE, at, (byte) 0);
      }
    }

    private void unmap(long address, long bytes) {
      try {
        int failed = (int) munmap.invokeExact(address, bytes);
        assert failed == 0 : failed;
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }
  }
}

package dev.kvdrive.kv.tier;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;

/**
 * Allocates the blocks of a file on disk, so that writing to it later cannot run out of room: with
 * {@code posix_fallocate} (milliseconds) where the platform has it, by writing zeros otherwise.
 */
final class Preallocation {
  private static final int ENOSPC = 28;
  private static final int EINTR = 4;
  private static final int EFBIG = 27;
  private static final int READ_WRITE = 2;
  private static final int ZERO_BYTES = 1 << 20;

  private Preallocation() {}

  /**
   * Makes the existing file {@code bytes} bytes long, all of them allocated.
   *
   * @return bytes that had to be written for it
   * @throws IOException if the disk has not enough room, or fails
   */
  static long allocate(Path path, long bytes) throws IOException {
    int error = PosixFallocate.call(path, bytes);
    if (error == 0) {
      return 0;
    }
    if (error == ENOSPC || error == EFBIG) {
      throw new IOException(
          "%s: %s while allocating %,d bytes"
              .formatted(
                  path, error == ENOSPC ? "no space left on device" : "file too large", bytes));
    }
    writeZeros(path, bytes); // not supported here: the slow way is as good
    return bytes;
  }

  static void writeZeros(Path path, long bytes) throws IOException {
    ByteBuffer zeros = ByteBuffer.allocateDirect((int) Math.min(bytes, ZERO_BYTES));
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
      for (long at = 0; at < bytes; ) {
        zeros.clear().limit((int) Math.min(zeros.capacity(), bytes - at));
        at += channel.write(zeros, at);
      }
      channel.force(true);
    }
  }

  /** The C function, if there is one and native access is allowed. */
  private static final class PosixFallocate {
    private static final int UNAVAILABLE = -1;

    private record Functions(MethodHandle open, MethodHandle allocate, MethodHandle close) {}

    private static final @Nullable Functions FUNCTIONS = link();

    static int call(Path path, long bytes) {
      Functions functions = FUNCTIONS;
      if (functions == null) {
        return UNAVAILABLE;
      }
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment name = arena.allocateFrom(path.toString());
        int fd = (int) functions.open.invokeExact(name, READ_WRITE);
        if (fd < 0) {
          return UNAVAILABLE;
        }
        try {
          int error;
          do {
            error = (int) functions.allocate.invokeExact(fd, 0L, bytes);
          } while (error == EINTR);
          return error;
        } finally {
          int ignored = (int) functions.close.invokeExact(fd);
          assert ignored == 0;
        }
      } catch (Throwable e) {
        throw new IllegalStateException("posix_fallocate cannot be called", e);
      }
    }

    private static @Nullable Functions link() {
      try {
        Linker linker = Linker.nativeLinker();
        var lookup = linker.defaultLookup();
        return new Functions(
            linker.downcallHandle(
                lookup.findOrThrow("open"),
                FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT),
                Linker.Option.firstVariadicArg(2)),
            linker.downcallHandle(
                lookup.findOrThrow("posix_fallocate"),
                FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG)),
            linker.downcallHandle(
                lookup.findOrThrow("close"),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT)));
      } catch (RuntimeException | UnsatisfiedLinkError e) {
        return null; // another platform, or no native access
      }
    }
  }
}

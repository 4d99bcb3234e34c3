package dev.kvdrive.kv.tier;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * One preallocated file of the NVMe tier. Positional, stateless, called by several I/O threads at
 * once. Buffers are direct, 4096-byte aligned at their position, and offsets and lengths are
 * multiples of 4096.
 */
public interface ExtentFile extends AutoCloseable {
  /** Makes the extent files of a tier. */
  @FunctionalInterface
  interface Opener {
    /** Files of a filesystem. */
    Opener FILES = ExtentChannel::create;

    /**
     * Makes a new file of exactly {@code bytes} bytes, whose blocks are allocated on disk.
     *
     * @param direct whether to open it with O_DIRECT
     * @throws IOException if it exists, the disk has not enough room, or O_DIRECT is refused
     */
    ExtentFile create(Path path, long bytes, boolean direct) throws IOException;
  }

  /**
   * Reads into the buffer from its position to its limit.
   *
   * @return bytes read, which may be fewer than asked for; -1 at the end of the file
   */
  int read(ByteBuffer target, long offset) throws IOException;

  /** Bytes that were written to make it: all of them where blocks cannot be allocated otherwise. */
  default long writtenAtStart() {
    return 0;
  }

  /** Writes the buffer from its position to its limit; returns bytes written. */
  int write(ByteBuffer source, long offset) throws IOException;

  @Override
  void close() throws IOException;
}

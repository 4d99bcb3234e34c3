package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The files of the NVMe tier: {@code slots} extents of equal size, spread over files of at most
 * {@value #FILE_BYTES} bytes in a directory that is locked against other processes. The files are
 * as large as they ever get from the start. Reads and writes are thread-safe and whole: an extent
 * is transferred completely or an exception says why not.
 */
final class ExtentFiles implements AutoCloseable {
  static final String LOCK_NAME = "kvdrive.lock";
  static final long FILE_BYTES = 16L << 30;
  private static final Pattern OURS = Pattern.compile("kvdrive-extents-\\d{4}\\.kv");
  private static final int ALIGNMENT = 4096;
  private static final Logger LOG = System.getLogger(ExtentFiles.class.getName());

  /**
   * Directories of this process: closing any channel of a file gives up the lock that the process
   * has on it, so that a second engine must not even open the lock file of a first.
   */
  private static final Set<Path> IN_USE = ConcurrentHashMap.newKeySet();

  private final Path directory;
  private final int slots;
  private final int extentBytes;
  private final int slotsPerFile;
  private final List<ExtentFile> files = new ArrayList<>();
  private final FileChannel lockChannel;
  private final FileLock lock;
  private final boolean direct;

  private ExtentFiles(
      int slots, int extentBytes, long fileBytes, NvmeOptions options, ExtentFile.Opener opener)
      throws IOException {
    this.slots = slots;
    this.extentBytes = extentBytes;
    slotsPerFile = (int) Math.max(1, Math.min(slots, fileBytes / extentBytes));
    directory = ownDirectory(options.directory());
    if (!IN_USE.add(directory)) {
      throw locked(directory);
    }
    boolean mine = false;
    try {
      lockChannel = openLock(directory);
      mine = true;
    } finally {
      if (!mine) {
        IN_USE.remove(directory);
      }
    }
    boolean locked = false;
    try {
      lock = lock(lockChannel, directory);
      locked = true;
      removeFiles();
      checkRoom();
      direct = openFiles(options.direct(), opener);
    } catch (IOException | RuntimeException e) {
      closeQuietly(files);
      if (locked) {
        removeQuietly();
      }
      lockChannel.close();
      IN_USE.remove(directory);
      throw e;
    }
  }

  private static FileChannel openLock(Path directory) throws IOException {
    return FileChannel.open(
        directory.resolve(LOCK_NAME),
        Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS),
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
  }

  /**
   * Locks the directory, removes left-overs and makes the files.
   *
   * @param fileBytes size of one file at most
   * @throws TierException if any of that fails
   */
  static ExtentFiles create(
      int slots, int extentBytes, long fileBytes, NvmeOptions options, ExtentFile.Opener opener) {
    try {
      return new ExtentFiles(slots, extentBytes, fileBytes, options, opener);
    } catch (IOException e) {
      throw new TierException(
          TierException.NO_SEAT,
          "the NVMe tier of %,d bytes cannot be made in %s: %s"
              .formatted((long) slots * extentBytes, options.directory(), reason(e)),
          e);
    }
  }

  /** Whether the files are open with O_DIRECT. */
  boolean direct() {
    return direct;
  }

  /** File and offset of a slot, for messages. */
  String where(int slot) {
    return "%s at offset %d".formatted(path(slot / slotsPerFile), offset(slot));
  }

  /** Fills the buffer, which has the size of an extent, from a slot. */
  void read(int slot, ByteBuffer target) throws IOException {
    int got = file(slot).read(target, offset(slot));
    if (got != extentBytes) {
      throw new IOException("short read: %d of %d bytes".formatted(Math.max(0, got), extentBytes));
    }
  }

  /** Writes the buffer, which has the size of an extent, to a slot. */
  void write(int slot, ByteBuffer source) throws IOException {
    int put = file(slot).write(source, offset(slot));
    if (put != extentBytes) {
      throw new IOException("short write: %d of %d bytes".formatted(put, extentBytes));
    }
  }

  /** Closes and removes the files and gives the directory free. */
  @Override
  public void close() {
    closeQuietly(files);
    removeQuietly();
    try {
      lock.release();
      lockChannel.close();
    } catch (IOException e) {
      LOG.log(Level.WARNING, "the lock of " + directory + " cannot be released", e);
    }
    IN_USE.remove(directory);
  }

  /** Text of an I/O error without the name of its class, where it has one. */
  static String reason(Throwable e) {
    String message = e.getMessage();
    return message == null || message.isBlank() ? e.getClass().getSimpleName() : message;
  }

  private static Path ownDirectory(Path directory) throws IOException {
    if (Files.exists(directory) && !Files.isDirectory(directory)) {
      throw new IOException("it is not a directory");
    }
    if (!Files.exists(directory)) {
      Files.createDirectories(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    return directory.toRealPath();
  }

  private static FileLock lock(FileChannel channel, Path directory) throws IOException {
    FileLock lock = channel.tryLock();
    if (lock == null) {
      throw locked(directory);
    }
    return lock;
  }

  private static IOException locked(Path directory) {
    return new IOException(
        "%s is locked by another engine; give each its own directory"
            .formatted(directory.resolve(LOCK_NAME)));
  }

  private void removeFiles() throws IOException {
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
      for (Path entry : entries) {
        Path name = entry.getFileName();
        if (name != null && OURS.matcher(name.toString()).matches()) {
          Files.delete(entry);
        }
      }
    }
  }

  private void checkRoom() throws IOException {
    long want = (long) slots * extentBytes;
    long have = directory.toFile().getUsableSpace();
    if (want > have) {
      throw new IOException(
          "no space left on device: %,d bytes are free; use a larger volume or a smaller NVMe tier"
              .formatted(have));
    }
  }

  private boolean openFiles(Direct wish, ExtentFile.Opener opener) throws IOException {
    boolean granted = wish != Direct.OFF;
    int count = Math.ceilDiv(slots, slotsPerFile);
    for (int i = 0; i < count; i++) {
      long bytes = (long) Math.min(slotsPerFile, slots - i * slotsPerFile) * extentBytes;
      if (i == 0 && granted) {
        String refusal = openDirect(opener, bytes);
        if (refusal == null) {
          continue;
        }
        if (wish == Direct.REQUIRED) {
          throw new IOException(
              "O_DIRECT is required and the filesystem refuses it: "
                  + refusal
                  + "; use a volume on ext4 or xfs, or do not require it");
        }
        LOG.log(
            Level.WARNING,
            "the filesystem of {0} refuses O_DIRECT ({1}): NVMe reads and writes go through the"
                + " page cache, which counts in the memory of the container",
            directory,
            refusal);
        granted = false;
        Files.deleteIfExists(path(0));
      }
      files.add(opener.create(path(i), bytes, granted));
    }
    return granted;
  }

  /** Opens the first file with O_DIRECT and tries it; returns why not, or null if it works. */
  private @Nullable String openDirect(ExtentFile.Opener opener, long bytes) throws IOException {
    Files.deleteIfExists(path(0));
    ExtentFile file;
    try {
      file = opener.create(path(0), bytes, true);
    } catch (IOException e) {
      if (Files.exists(path(0)) && Files.size(path(0)) == bytes) {
        return reason(e); // the room was there, the flag was not
      }
      throw e;
    }
    String refusal = probe(file);
    if (refusal == null) {
      files.add(file);
    } else {
      file.close();
    }
    return refusal;
  }

  private static @Nullable String probe(ExtentFile file) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ALIGNMENT, ALIGNMENT);
      MemorySegment in = arena.allocate(ALIGNMENT, ALIGNMENT);
      out.fill((byte) 0x5a);
      int put = file.write(out.asByteBuffer(), 0);
      int got = file.read(in.asByteBuffer(), 0);
      if (put != ALIGNMENT || got != ALIGNMENT || out.mismatch(in) >= 0) {
        return "a block of %d bytes does not come back".formatted(ALIGNMENT);
      }
      return null;
    } catch (IOException | RuntimeException e) {
      return reason(e);
    }
  }

  private ExtentFile file(int slot) {
    return files.get(slot / slotsPerFile);
  }

  private long offset(int slot) {
    return (long) (slot % slotsPerFile) * extentBytes;
  }

  private Path path(int file) {
    return directory.resolve("kvdrive-extents-%04d.kv".formatted(file));
  }

  private void removeQuietly() {
    try {
      removeFiles();
    } catch (IOException e) {
      LOG.log(Level.WARNING, "the extent files in " + directory + " cannot be removed", e);
    }
  }

  private static void closeQuietly(List<ExtentFile> files) {
    for (ExtentFile file : files) {
      try {
        file.close();
      } catch (IOException e) {
        LOG.log(Level.WARNING, "an extent file cannot be closed", e);
      }
    }
    files.clear();
  }
}

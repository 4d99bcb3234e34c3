package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.tier.NvmeOptions.Direct;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The files of the NVMe tier: {@link #slots} extents of equal size, spread over files of at most
 * {@value #FILE_BYTES} bytes in a directory that is locked against other processes. The files are
 * as large as they ever get from the start. Their names have a random token in them, which the lock
 * file says while they are there: nothing else in the directory is ever removed. Reads and writes
 * are thread-safe and whole: an extent is transferred completely or an exception says why not.
 */
final class ExtentFiles implements AutoCloseable {
  static final String LOCK_NAME = "kvdrive.lock";
  static final long FILE_BYTES = 16L << 30;
  private static final int ALIGNMENT = 4096;

  /** What the lock file says while there are files: the token that is part of their names. */
  private static final Pattern OWNER = Pattern.compile("extents of ([0-9a-f]{16})\\s*");

  private static final Pattern EXTENTS =
      Pattern.compile("kvdrive-extents-([0-9a-f]{16})-(\\d+|probe)\\.kv");

  private static final int MOST_NAMED = 3;
  private static final int OWNER_BYTES = 256;
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
  private final @Nullable ExtentFile probe;

  /** Part of the names of this tier's files, which nobody else can know beforehand. */
  private final String token = "%016x".formatted(new SecureRandom().nextLong());

  /** Files made, and which files they were: a name can be given to another file. */
  private final Map<Path, Object> made = new LinkedHashMap<>();

  private final FileChannel lockChannel;
  private final FileLock lock;
  private final DailyWrites writes;
  private final boolean direct;

  private ExtentFiles(
      int leastSlots, int mostSlots, int extentBytes, long fileBytes, NvmeOptions options)
      throws IOException {
    this.extentBytes = extentBytes;
    NvmeFolder folder = NvmeFolder.open(options.directory());
    directory = folder.path();
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
    try {
      lock = lock(lockChannel, directory);
      writes = DailyWrites.in(directory, options.writesPerDay(), options.clock());
      removeLeftOvers();
      String unclaimed = unclaimed(directory);
      if (unclaimed != null) {
        LOG.log(Level.WARNING, unclaimed);
      }
      slots = (int) Math.min(mostSlots, room(leastSlots, folder));
      slotsPerFile = (int) Math.max(1, Math.min(slots, fileBytes / extentBytes));
      writeOwner("extents of %s%n".formatted(token));
      direct = openFiles(options.direct(), options.files(), folder.filesystem());
      probe = slots == 0 ? null : open(options.files(), path("probe"), ALIGNMENT, direct);
    } catch (IOException | RuntimeException e) {
      removeFiles();
      removeUnfinished();
      closeQuietly(files);
      lockChannel.close();
      IN_USE.remove(directory);
      throw e;
    }
    String warning = folder.warning();
    if (warning != null) {
      LOG.log(Level.WARNING, "the NVMe tier in {0}: {1}", directory, warning);
    }
  }

  private static FileChannel openLock(Path directory) throws IOException {
    return FileChannel.open(
        directory.resolve(LOCK_NAME),
        Set.of(
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            LinkOption.NOFOLLOW_LINKS),
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
  }

  /**
   * Locks the directory, removes left-overs and makes the files.
   *
   * @param leastSlots slots without which there is no NVMe tier
   * @param mostSlots slots there will be if there is room for them; as many as there is room for
   *     otherwise
   * @param fileBytes size of one file at most
   * @throws TierException if any of that fails
   */
  static ExtentFiles create(
      int leastSlots, int mostSlots, int extentBytes, long fileBytes, NvmeOptions options) {
    try {
      return new ExtentFiles(leastSlots, mostSlots, extentBytes, fileBytes, options);
    } catch (IOException e) {
      throw new TierException(
          TierException.NO_SEAT,
          "the NVMe tier of %,d bytes cannot be made in %s: %s"
              .formatted((long) leastSlots * extentBytes, options.directory(), reason(e)),
          e);
    }
  }

  /** Extents there are. */
  int slots() {
    return slots;
  }

  /**
   * Writes a block and reads it back.
   *
   * @return why it does not come back, or null if it does
   */
  @Nullable String probe() {
    if (probe == null) {
      return null;
    }
    writes.add(ALIGNMENT);
    return probe(probe);
  }

  /** What is written there, and may be. */
  DailyWrites writes() {
    return writes;
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

  /** Writes the buffer, which has the size of an extent and was counted, to a slot. */
  void write(int slot, ByteBuffer source) throws IOException {
    writes.record();
    int put = file(slot).write(source, offset(slot));
    if (put != extentBytes) {
      throw new IOException("short write: %d of %d bytes".formatted(put, extentBytes));
    }
  }

  /** Closes and removes the files and gives the directory free. */
  @Override
  public void close() {
    // First the names, while nobody else can have got one of these files' numbers.
    removeFiles();
    closeQuietly(files);
    closeQuietly(probe == null ? List.of() : List.of(probe));
    writes.close();
    try {
      writeOwner("");
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

  /**
   * Bytes of files in a folder that an engine made which ended without removing them. Not of one
   * that runs in this process: opening its lock file would give up its lock.
   */
  static long leftOverBytes(Path directory) throws IOException {
    Path real = directory.toRealPath();
    Path lockFile = real.resolve(LOCK_NAME);
    if (IN_USE.contains(real) || !Files.isRegularFile(lockFile, LinkOption.NOFOLLOW_LINKS)) {
      return 0;
    }
    long bytes = 0;
    try (FileChannel channel = FileChannel.open(lockFile, StandardOpenOption.READ)) {
      for (Path file : filesOf(owner(channel), real)) {
        bytes += Files.size(file);
      }
    }
    return bytes;
  }

  /** What the lock file says: the token of the last owner that has not removed its files, or "". */
  private static String owner(FileChannel channel) throws IOException {
    if (channel.size() == 0) {
      return "";
    }
    ByteBuffer bytes = ByteBuffer.allocate(OWNER_BYTES);
    channel.read(bytes, 0);
    Matcher owner =
        OWNER.matcher(new String(bytes.array(), 0, bytes.position(), StandardCharsets.US_ASCII));
    if (channel.size() > OWNER_BYTES || !owner.matches()) {
      throw new IOException(
          "%s there is not the lock file of an engine; remove it, or name another folder"
              .formatted(LOCK_NAME));
    }
    return owner.group(1);
  }

  private void writeOwner(String text) throws IOException {
    lockChannel.truncate(0);
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
    while (bytes.hasRemaining()) {
      lockChannel.write(bytes, bytes.position());
    }
    lockChannel.force(true);
  }

  private static List<Path> filesOf(String owner, Path directory) throws IOException {
    if (owner.isEmpty()) {
      return List.of();
    }
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> entries =
        Files.newDirectoryStream(directory, "kvdrive-extents-" + owner + "-*.kv")) {
      for (Path entry : entries) {
        if (Files.isRegularFile(entry, LinkOption.NOFOLLOW_LINKS)) {
          found.add(entry);
        }
      }
    }
    return found;
  }

  /** Removes the files of the last owner if it has ended without doing so. */
  private void removeLeftOvers() throws IOException {
    List<Path> left = filesOf(owner(lockChannel), directory);
    long bytes = 0;
    for (Path file : left) {
      bytes += Files.size(file);
      Files.delete(file);
    }
    if (!left.isEmpty()) {
      LOG.log(
          Level.INFO,
          "removed {0} files of {1} bytes in {2} of a process that has ended without doing so: what"
              + " they held means nothing without it",
          left.size(),
          bytes,
          directory);
    }
  }

  /**
   * What there is to say of files that have the names of extents but are nobody's: a runtime that
   * was killed has left them, and its lock file does not say so any more. They may as well be
   * somebody else's, so they stay; null if there are none. Asked before this tier has files.
   */
  static @Nullable String unclaimed(Path directory) throws IOException {
    Set<String> globs = new TreeSet<>();
    long bytes = 0;
    try (DirectoryStream<Path> entries =
        Files.newDirectoryStream(directory, "kvdrive-extents-*.kv")) {
      for (Path entry : entries) {
        Matcher name = EXTENTS.matcher(String.valueOf(entry.getFileName()));
        if (name.matches() && Files.isRegularFile(entry, LinkOption.NOFOLLOW_LINKS)) {
          globs.add("kvdrive-extents-%s-*.kv".formatted(name.group(1)));
          bytes += Files.size(entry);
        }
      }
    }
    return globs.isEmpty()
        ? null
        : "%,d bytes in %s are in files that no runtime has claimed: %s%s. A runtime that was killed may have left them; they are never removed by themselves, and can be deleted if no other runtime uses the folder"
            .formatted(
                bytes,
                directory,
                String.join(", ", globs.stream().limit(MOST_NAMED).toList()),
                globs.size() > MOST_NAMED
                    ? " and %d more names".formatted(globs.size() - MOST_NAMED)
                    : "");
  }

  /** Slots for which there is room. */
  private long room(int leastSlots, NvmeFolder folder) throws IOException {
    long least = (long) leastSlots * extentBytes;
    long have = folder.roomBytes();
    if (least > have) {
      throw new IOException(
          "no space left on device: the extents need %,d bytes, %,d are free for them; use a larger volume or a smaller NVMe tier"
              .formatted(least, have));
    }
    return have / extentBytes;
  }

  private boolean openFiles(Direct wish, ExtentFile.Opener opener, String filesystem)
      throws IOException {
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
              "O_DIRECT is required and the filesystem, %s, refuses it: %s; use a volume on ext4 or xfs, or do not require it"
                  .formatted(filesystem, refusal));
        }
        LOG.log(
            Level.WARNING,
            "the filesystem of {0}, {1}, refuses O_DIRECT ({2}): NVMe reads and writes go through the"
                + " page cache, which counts in the memory of the container",
            directory,
            filesystem,
            refusal);
        granted = false;
      }
      files.add(open(opener, path(i), bytes, granted));
    }
    return granted;
  }

  /**
   * Opens the first file with O_DIRECT and tries it; returns why not, or null if it works. Nothing
   * is left of a file that does not.
   */
  private @Nullable String openDirect(ExtentFile.Opener opener, long bytes) throws IOException {
    ExtentFile file;
    try {
      file = open(opener, path(0), bytes, true);
    } catch (IOException e) {
      if (Files.exists(path(0)) && Files.size(path(0)) == bytes) {
        Files.delete(path(0));
        return reason(e); // the room was there, the flag was not
      }
      Files.deleteIfExists(path(0));
      throw e;
    }
    writes.add(ALIGNMENT);
    String refusal = probe(file);
    if (refusal == null) {
      files.add(file);
    } else {
      remove(path(0));
      file.close();
    }
    return refusal;
  }

  /** Makes a file and remembers which it is. */
  private ExtentFile open(ExtentFile.Opener opener, Path path, long bytes, boolean directly)
      throws IOException {
    ExtentFile file = opener.create(path, bytes, directly);
    try {
      made.put(path, identity(path));
      writes.add(file.writtenAtStart());
      return file;
    } catch (IOException e) {
      file.close();
      throw e;
    }
  }

  /** What tells a file from every other one: its device and number there. */
  private static Object identity(Path path) throws IOException {
    BasicFileAttributes attributes =
        Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    Object key = attributes.fileKey();
    return key == null ? attributes.creationTime() : key;
  }

  private static @Nullable String probe(ExtentFile file) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ALIGNMENT, ALIGNMENT);
      MemorySegment in = arena.allocate(ALIGNMENT, ALIGNMENT);
      out.setAtIndex(ValueLayout.JAVA_LONG, 0, System.nanoTime());
      out.asSlice(8).fill((byte) 0x5a);
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
    return path("%04d".formatted(file));
  }

  private Path path(String name) {
    return directory.resolve("kvdrive-extents-%s-%s.kv".formatted(token, name));
  }

  /** Removes the files that were made, whatever else bears their names by now excepted. */
  private void removeFiles() {
    for (Path path : List.copyOf(made.keySet())) {
      try {
        remove(path);
      } catch (NoSuchFileException e) {
        LOG.log(Level.DEBUG, "somebody removed {0}", path);
      } catch (IOException e) {
        LOG.log(Level.WARNING, "the extent file " + path + " cannot be removed", e);
      }
    }
  }

  /** Removes what a failed attempt to make a file has left. */
  private void removeUnfinished() {
    try {
      for (Path file : filesOf(token, directory)) {
        Files.delete(file);
      }
    } catch (IOException e) {
      LOG.log(Level.WARNING, "an extent file in " + directory + " cannot be removed", e);
    }
  }

  private void remove(Path path) throws IOException {
    Object identity = made.remove(path);
    if (identity != null && identity.equals(identity(path))) {
      Files.delete(path);
    } else {
      LOG.log(Level.WARNING, "{0} is not the file that was made; it is left alone", path);
    }
  }

  private static void closeQuietly(Iterable<ExtentFile> files) {
    for (ExtentFile file : files) {
      try {
        file.close();
      } catch (IOException e) {
        LOG.log(Level.WARNING, "an extent file cannot be closed", e);
      }
    }
  }
}

package dev.kvdrive.model.file;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Maps model files read-only into memory.
 *
 * <p>The mapping is shared with the page cache: weights are read from disk when first touched, and
 * several processes on a machine share them. A file must not be cut short while it is mapped;
 * reading a page that no longer exists makes the JVM throw {@link InternalError} in the reading
 * thread. Replace model files by renaming a new file over the old name, which leaves the mapping
 * intact.
 */
public final class MappedFile {
  private MappedFile() {}

  /**
   * The whole file as a read-only segment that lives as long as {@code arena}.
   *
   * @throws ModelFormatException if it is missing, empty, unreadable or no regular file
   */
  public static MemorySegment map(Path file, Arena arena) {
    requireRegular(file);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size == 0) {
        throw new ModelFormatException(
            file, "the file is empty", "0 bytes", "download or copy it again");
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * A small text file, such as a configuration, in one piece.
   *
   * @throws ModelFormatException if it is missing, unreadable, no regular file or longer than
   *     {@code maxBytes}
   */
  public static byte[] readSmall(Path file, long maxBytes) {
    requireRegular(file);
    try (var in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(Math.toIntExact(maxBytes + 1));
      if (bytes.length > maxBytes) {
        throw new ModelFormatException(
            file,
            "the file is longer than the " + maxBytes + " bytes allowed here",
            Files.size(file) + " bytes",
            "check that it is the file its name says");
      }
      return bytes;
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * Follows symbolic links and fails clearly on loops, missing targets, folders and devices.
   *
   * @throws ModelFormatException if {@code file} is not a readable regular file
   */
  public static void requireRegular(Path file) {
    Path real;
    try {
      real = file.toRealPath();
    } catch (NoSuchFileException e) {
      boolean dangling = Files.isSymbolicLink(file);
      throw new ModelFormatException(
          file,
          dangling ? "the symbolic link leads nowhere" : "there is no such file",
          dangling ? "a dangling link" : "nothing",
          "check the path",
          e);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
    if (Files.isDirectory(real)) {
      throw new ModelFormatException(
          file, "a file is needed here", "a directory", "name the model file itself");
    }
    if (!Files.isRegularFile(real)) {
      throw new ModelFormatException(
          file, "a regular file is needed here", "a device, pipe or socket", "check the path");
    }
    if (!Files.isReadable(real)) {
      throw new ModelFormatException(
          file,
          "the file may not be read",
          "no read permission for user " + System.getProperty("user.name"),
          "change its permissions");
    }
  }

  /** The error for a file that the operating system refuses. */
  public static ModelFormatException unreadable(Path file, IOException e) {
    String reason =
        e instanceof FileSystemException f && f.getReason() != null
            ? f.getReason()
            : String.valueOf(e.getMessage());
    boolean loop = reason.contains("symbolic links");
    return new ModelFormatException(
        file,
        loop ? "the symbolic links form a loop" : "the file cannot be read",
        reason,
        loop ? "point the link at the model file" : "check the path, permissions and the disk",
        e);
  }
}

package dev.kvdrive.cli.serve;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import org.jspecify.annotations.Nullable;

/**
 * A folder that lives as long as a command. It is made below the cache folder and not in the
 * system's folder for temporary files, which is often in memory, where an NVMe tier would prove
 * nothing.
 *
 * @param path the folder; for its owner only
 */
public record ScratchFolder(Path path) implements AutoCloseable {
  /**
   * Makes a folder.
   *
   * @param parent made when needed
   * @param prefix how its name begins
   * @throws UncheckedIOException if it cannot be made; the message says where
   */
  public static ScratchFolder below(Path parent, String prefix) {
    try {
      Files.createDirectories(parent);
      return new ScratchFolder(
          Files.createTempDirectory(
              parent,
              prefix,
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))));
    } catch (IOException e) {
      throw new UncheckedIOException(
          "no folder can be made in %s (%s); name a writable one with KVDRIVE_CACHE"
              .formatted(parent, e),
          e);
    }
  }

  /** Removes it with all that is in it. Idempotent. */
  @Override
  public void close() {
    try {
      Files.walkFileTree(path, new Removal());
    } catch (NoSuchFileException e) {
      // removed before
    } catch (IOException e) {
      System.err.println("kvdrive: " + path + " cannot be removed: " + e);
    }
  }

  private static final class Removal extends SimpleFileVisitor<Path> {
    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
      Files.deleteIfExists(file);
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException failure)
        throws IOException {
      if (failure != null) {
        throw failure;
      }
      Files.deleteIfExists(folder);
      return FileVisitResult.CONTINUE;
    }
  }
}

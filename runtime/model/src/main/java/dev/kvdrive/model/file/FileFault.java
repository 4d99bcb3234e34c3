package dev.kvdrive.model.file;

import java.io.EOFException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.zip.ZipException;
import org.jspecify.annotations.Nullable;

/** What is wrong with a file, in words: exceptions of the file system have the path alone. */
public final class FileFault {
  private FileFault() {}

  /** The same with the path before it: {@code tasks.jsonl: there is no such file or folder}. */
  public static String words(Path file, Exception failure) {
    return "%s: %s".formatted(file, reason(failure));
  }

  /** The path that a failure names, and why; null if it names none. */
  public static @Nullable String words(Throwable failure) {
    return failure instanceof FileSystemException file && file.getFile() != null
        ? "%s: %s".formatted(file.getFile(), reason(file))
        : null;
  }

  /** Why, without the path. */
  public static String reason(Exception failure) {
    return switch (failure) {
      case NoSuchFileException _ -> "there is no such file or folder";
      case AccessDeniedException _ -> "access is denied";
      case NotDirectoryException _ -> "it is no folder";
      case FileAlreadyExistsException _ -> "it is there already";
      case FileSystemException other when other.getReason() != null -> other.getReason();
      case ZipException _ -> "it is not compressed by gzip";
      case EOFException _ -> "it ends too early";
      case Exception other when other.getMessage() != null -> other.getMessage();
      default -> failure.toString();
    };
  }
}

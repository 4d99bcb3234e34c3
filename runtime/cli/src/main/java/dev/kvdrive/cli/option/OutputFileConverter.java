package dev.kvdrive.cli.option;

import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A file to write, which must be possible: hours of work end with it. */
public final class OutputFileConverter implements ITypeConverter<Path> {
  @Override
  public Path convert(String value) {
    Path file = Path.of(value);
    if (Files.isDirectory(file)) {
      throw new TypeConversionException("'%s' is a folder; name a file".formatted(value));
    }
    Path folder = file.toAbsolutePath().getParent();
    if (folder == null || !Files.isDirectory(folder)) {
      throw new TypeConversionException(
          "'%s' is in a folder that is not there; make it, or name another".formatted(value));
    }
    if (!Files.isWritable(Files.exists(file) ? file : folder)) {
      throw new TypeConversionException("'%s' cannot be written here".formatted(value));
    }
    return file;
  }
}

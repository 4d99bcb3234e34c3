package dev.kvdrive.bench.matrix;

import dev.kvdrive.model.file.FileFault;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** A matrix as JSON, compressed if the file's name ends in .gz. */
public final class MatrixFile {
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  private MatrixFile() {}

  /**
   * Writes a matrix.
   *
   * @throws UncheckedIOException if the file cannot be written
   */
  public static void write(Path file, SpeedMatrix matrix) {
    try (OutputStream raw = Files.newOutputStream(file);
        OutputStream out = compressed(file) ? new GZIPOutputStream(raw) : raw) {
      JSON.writeValue(out, matrix);
    } catch (IOException | JacksonException e) {
      throw new UncheckedIOException(FileFault.words(file, e), new IOException(e));
    }
  }

  /**
   * Reads what {@link #write} has written.
   *
   * @throws IllegalArgumentException if it is no such file; the message names it
   */
  public static SpeedMatrix read(Path file) {
    try (InputStream raw = Files.newInputStream(file);
        InputStream in = compressed(file) ? new GZIPInputStream(raw) : raw) {
      return JSON.readValue(in, SpeedMatrix.class);
    } catch (IOException | JacksonException | IllegalArgumentException | NullPointerException e) {
      throw new IllegalArgumentException(
          "%s is no file that ./kvdrive bench matrix --json has written: %s"
              .formatted(file, String.valueOf(e.getMessage()).lines().findFirst().orElse("")),
          e);
    }
  }

  private static boolean compressed(Path file) {
    return file.toString().endsWith(".gz");
  }
}

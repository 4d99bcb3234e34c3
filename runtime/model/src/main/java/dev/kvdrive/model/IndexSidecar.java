package dev.kvdrive.model;

import dev.kvdrive.model.file.MappedFile;
import dev.kvdrive.model.gguf.GgufPart;
import dev.kvdrive.model.safetensors.SafetensorsReader;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the calibration of a model's index lies: a file that belongs to the weights and travels
 * with them, made once by {@code ./kvdrive calibrate}.
 */
public final class IndexSidecar {
  /** Its name in a model's folder; what follows the name of a GGUF file. */
  public static final String NAME = "kvdrive-index.safetensors";

  private IndexSidecar() {}

  /** Its name beside a GGUF file; of a split model beside the first of its files. */
  public static String besideGguf(String file) {
    return GgufPart.all(file).getFirst() + "." + NAME;
  }

  /** Its place on this machine, whether it is there or not: beside a file, inside a folder. */
  public static Path of(Path model) {
    return Files.isDirectory(model)
        ? model.resolve(NAME)
        : model.resolveSibling(besideGguf(String.valueOf(model.getFileName())));
  }

  /** Whether a model on this machine has it. */
  static boolean isThere(Path model) {
    return Files.isRegularFile(of(model));
  }

  /**
   * Whether a model on this machine has it whole, as far as its header says.
   *
   * @throws dev.kvdrive.model.file.ModelFormatException if it is cut short or something else
   */
  static boolean isWhole(Path model) {
    if (!isThere(model)) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      SafetensorsReader.read(of(model), MappedFile.map(of(model), arena));
    }
    return true;
  }
}

package dev.kvdrive.model;

import dev.kvdrive.model.file.MappedFile;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.gguf.GgufPart;
import dev.kvdrive.model.safetensors.SafetensorsReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;

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

  /** The model whose it is: the inverse of {@link #of}. */
  private static Path model(Path sidecar) {
    String name = String.valueOf(sidecar.getFileName());
    return name.endsWith("." + NAME)
        ? sidecar.resolveSibling(name.substring(0, name.length() - NAME.length() - 1))
        : Objects.requireNonNullElse(sidecar.getParent(), Path.of("."));
  }

  /**
   * What to do about one that cannot be used, whatever is wrong with it: it is made of the model,
   * and nobody has to find it again.
   */
  public static String again(Path sidecar) {
    return "calibrate again: ./kvdrive calibrate --model " + model(sidecar);
  }

  /**
   * Maps one and reads what tensors it has.
   *
   * @param arena that the mapping lives in
   * @throws ModelFormatException if it is not a sound safetensors file
   */
  public static Mapped map(Path sidecar, Arena arena) {
    try {
      MemorySegment bytes = MappedFile.map(sidecar, arena);
      return new Mapped(bytes, SafetensorsReader.read(sidecar, bytes));
    } catch (ModelFormatException e) {
      throw e.withWayOut(again(sidecar));
    }
  }

  /**
   * A sidecar in memory.
   *
   * @param bytes the whole file
   * @param tensors by name
   */
  public record Mapped(MemorySegment bytes, Map<String, TensorEntry> tensors) {}

  /** Whether a model on this machine has it. */
  static boolean isThere(Path model) {
    return Files.isRegularFile(of(model));
  }

  /**
   * Whether a model on this machine has it whole, as far as its header says.
   *
   * @throws ModelFormatException if it is cut short or something else
   */
  static boolean isWhole(Path model) {
    if (!isThere(model)) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      Mapped _ = map(of(model), arena);
    }
    return true;
  }
}

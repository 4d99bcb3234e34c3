package dev.kvdrive.model.file;

import dev.kvdrive.model.tensor.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One line of a model file's table of contents. Sizes and place have been checked against the file.
 *
 * @param name as in the file
 * @param typeName the file format's own name of the type
 * @param type storage type, or null if this runtime cannot compute with it
 * @param shape sizes, outermost first; the last is contiguous
 * @param offset first byte, from the start of the file
 * @param bytes length
 */
public record TensorEntry(
    String name,
    String typeName,
    @Nullable TensorType type,
    List<Long> shape,
    long offset,
    long bytes) {
  public TensorEntry {
    shape = List.copyOf(shape);
  }
}

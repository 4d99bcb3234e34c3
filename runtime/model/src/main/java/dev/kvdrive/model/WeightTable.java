package dev.kvdrive.model;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one or many mapped files by name. Every tensor that is taken out is checked
 * against the shape that the configuration promises; at the end {@link #requireAllUsed} makes sure
 * that nothing in the files was left unread, since a model with an unknown extra weight would
 * answer wrongly.
 */
final class WeightTable {
  /** What tensors must at least be aligned to: the widest element of a block. */
  private static final int ALIGNMENT = 4;

  private record Located(Path file, MemorySegment bytes, TensorEntry entry) {}

  private final Path source;
  private final Arena arena;
  private final Map<String, Located> byName = new LinkedHashMap<>();
  private final Set<String> handedOut = new HashSet<>();
  private final Set<String> ignored = new HashSet<>();

  /**
   * @param source file or folder, for messages
   * @param arena owner of the mappings
   */
  WeightTable(Path source, Arena arena) {
    this.source = source;
    this.arena = arena;
  }

  /** Adds the tensors of a mapped file. */
  void add(Path file, MemorySegment bytes, Map<String, TensorEntry> entries) {
    for (TensorEntry e : entries.values()) {
      if (byName.put(e.name(), new Located(file, bytes, e)) != null) {
        throw new ModelFormatException(
            file, "the tensor is also in another file of the model", e.name(), "get it again");
      }
    }
  }

  boolean has(String name) {
    return byName.containsKey(name);
  }

  /** Marks a tensor as known but not needed. */
  void ignore(String name) {
    ignored.add(name);
  }

  /** A weight that is not there, or only as the pieces that a quantizer made of it. */
  private ModelFormatException missing(String name) {
    String stem = name.replaceFirst("\\.weight$", "");
    for (String piece : List.of(".qweight", ".weight_packed", ".scales")) {
      if (has(stem + piece)) {
        return new ModelFormatException(
            source,
            "the weights are quantized in a form that is not supported (AWQ, GPTQ, MLX or another)",
            stem + piece,
            "use the model it was made from, or a GGUF file of that, which may be quantized");
      }
    }
    return new ModelFormatException(
        source, "a tensor is missing", name, "the model is incomplete: get it again");
  }

  /** Marks all tensors whose names begin so as known but not needed. */
  void ignoreAll(String prefix) {
    byName.keySet().stream().filter(name -> name.startsWith(prefix)).forEach(ignored::add);
  }

  /** The tensor {@code name}, which must be there, of {@code rows x cols}. */
  TensorData matrix(String name, int rows, int cols) {
    Located at = byName.get(name);
    if (at == null) {
      throw missing(name);
    }
    List<Long> shape = at.entry.shape();
    boolean fits =
        rows == 1
            ? shape.equals(List.of((long) cols)) || shape.equals(List.of(1L, (long) cols))
            : shape.equals(List.of((long) rows, (long) cols));
    if (!fits) {
      throw new ModelFormatException(
          at.file,
          "tensor %s must have shape %s"
              .formatted(name, rows == 1 ? "[" + cols + "]" : List.of(rows, cols)),
          shape,
          "weights and configuration do not belong together: get the model again");
    }
    return take(at, rows, cols);
  }

  /** The vector {@code name} of {@code length} elements. */
  TensorData vector(String name, int length) {
    return matrix(name, 1, length);
  }

  /** The vector {@code name} of rope factors, which is no weight. */
  TensorData ropeFactors(String name, int length) {
    TensorData factors = vector(name, length);
    handedOut.remove(name);
    return factors;
  }

  /** The vector {@code name}, or null if the model has none. */
  @Nullable TensorData vectorIfAny(String name, int length) {
    return has(name) ? vector(name, length) : null;
  }

  /** All tensors that were handed out, each once. */
  WeightCount handedOut() {
    return WeightCount.of(
        byName.values().stream().map(Located::entry).filter(e -> handedOut.contains(e.name())));
  }

  /** Fails if a tensor was neither handed out nor ignored. */
  void requireAllUsed() {
    for (Located l : byName.values()) {
      if (!handedOut.contains(l.entry.name()) && !ignored.contains(l.entry.name())) {
        throw new ModelFormatException(
            l.file,
            "the model has a tensor that its architecture does not; without it answers would be"
                + " wrong",
            l.entry.name(),
            "use another model");
      }
    }
  }

  private TensorData take(Located at, int rows, int cols) {
    TensorEntry e = at.entry;
    TensorType type = e.type();
    if (type == null) {
      throw new ModelFormatException(
          at.file,
          "tensor " + e.name() + " has a type that is not supported",
          e.typeName(),
          "use a model in F32, F16 or BF16");
    }
    handedOut.add(e.name());
    MemorySegment data = at.bytes.asSlice(e.offset(), e.bytes());
    if (data.address() % ALIGNMENT != 0) {
      // Only in old safetensors files whose header is not padded.
      MemorySegment aligned = arena.allocate(e.bytes(), 64);
      data = aligned.copyFrom(data).asReadOnly();
    }
    return new TensorData(e.name(), type, rows, cols, data);
  }
}

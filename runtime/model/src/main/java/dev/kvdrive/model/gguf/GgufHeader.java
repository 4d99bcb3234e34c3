package dev.kvdrive.model.gguf;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Everything in a GGUF file but the weights.
 *
 * @param version format version, 2 or 3
 * @param metadata key-value part
 * @param tensors table of contents by name, in file order; shapes outermost first, so the reverse
 *     of what the file says
 * @param dataStart first byte of the weights, from the start of the file
 */
public record GgufHeader(
    int version, GgufMetadata metadata, Map<String, TensorEntry> tensors, long dataStart) {

  /** Files that the model is split over; 1 if it is not. */
  public int parts() {
    long count = metadata.integer("split.count").orElse(1);
    if (count < 0 || count > GgufPart.MAX_PARTS) {
      throw bad(
          "the number of parts is absurd: at most " + GgufPart.MAX_PARTS, "split.count = " + count);
    }
    return (int) Math.max(1, count);
  }

  /**
   * The names of all parts of the model, this one's included; just its own if the model is whole.
   *
   * @param name of this file
   * @throws ModelFormatException if name and content do not agree on which part it is
   */
  public List<String> partNames(String name) {
    int count = parts();
    if (count == 1) {
      return List.of(name);
    }
    long number = metadata.integer("split.no").orElse(0) + 1;
    GgufPart part = GgufPart.of(name).orElse(null);
    if (part == null || part.count() != count || part.number() != number) {
      throw new ModelFormatException(
          metadata.file(),
          "the file is part %d of %d of a split model, which its name does not say"
              .formatted(number, count),
          name,
          "give all parts their names back, which end with -%05d-of-%05d.gguf for this one"
              .formatted(number, count));
    }
    return part.names();
  }

  /**
   * The model that the parts of a split model make up: the metadata of the first, the tensors of
   * all. Offsets stay those in the parts.
   *
   * @param parts all of them, in order; one if the model is whole
   * @throws ModelFormatException if they are not the parts of one model
   */
  public static GgufHeader joined(List<GgufHeader> parts) {
    GgufHeader first = parts.getFirst();
    if (parts.size() == 1) {
      return first;
    }
    Map<String, TensorEntry> tensors = new LinkedHashMap<>();
    for (int i = 0; i < parts.size(); i++) {
      GgufHeader part = parts.get(i);
      OptionalLong number = part.metadata.integer("split.no");
      if (part.parts() != parts.size() || number.orElse(0) != i) {
        throw part.bad(
            "the file is not part %d of %d".formatted(i + 1, parts.size()),
            "split.no = %s, split.count = %d"
                .formatted(number.isPresent() ? number.getAsLong() : "nothing", part.parts()));
      }
      for (TensorEntry entry : part.tensors.values()) {
        if (tensors.put(entry.name(), entry) != null) {
          throw part.bad("the tensor is also in another part of the model", entry.name());
        }
      }
    }
    long promised = first.metadata.integer("split.tensors.count").orElse(tensors.size());
    if (promised != tensors.size()) {
      throw first.bad(
          "the parts have %d tensors together".formatted(tensors.size()),
          "split.tensors.count = " + promised);
    }
    return new GgufHeader(
        first.version, first.metadata, Collections.unmodifiableMap(tensors), first.dataStart);
  }

  private ModelFormatException bad(String what, Object value) {
    Path file = metadata.file();
    return new ModelFormatException(file, what, value, "get all parts of the model again");
  }
}

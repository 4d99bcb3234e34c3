package dev.kvdrive.model.safetensors;

import dev.kvdrive.model.file.MappedFile;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads the headers of safetensors files: eight bytes of length, a JSON object, then the tensors
 * without gaps. As strict as the format's own library: names once, no gap, no overlap, nothing
 * outside the file, sizes that agree with shape and type.
 */
public final class SafetensorsReader {
  /** Longest header, as in the format's own library. */
  public static final int MAX_HEADER_BYTES = 100_000_000;

  static final int MAX_INDEX_BYTES = 64 << 20;
  static final int MAX_DIMENSIONS = 8;
  static final String AGAIN = "download or convert the model again";

  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final Map<String, Integer> ELEMENT_BYTES =
      Map.ofEntries(
          Map.entry("F64", 8),
          Map.entry("F32", 4),
          Map.entry("F16", 2),
          Map.entry("BF16", 2),
          Map.entry("F8_E4M3", 1),
          Map.entry("F8_E5M2", 1),
          Map.entry("I64", 8),
          Map.entry("I32", 4),
          Map.entry("I16", 2),
          Map.entry("I8", 1),
          Map.entry("U64", 8),
          Map.entry("U32", 4),
          Map.entry("U16", 2),
          Map.entry("U8", 1),
          Map.entry("BOOL", 1));
  private static final Map<String, TensorType> COMPUTABLE =
      Map.of("F32", TensorType.F32, "F16", TensorType.F16, "BF16", TensorType.BF16);
  private static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(8)
                          .maxStringLength(4 << 20)
                          .maxNameLength(4096)
                          .maxNumberLength(32)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .build();

  private SafetensorsReader() {}

  /**
   * The table of contents of one mapped file, in the order of the header.
   *
   * @param file for messages
   * @param bytes the whole file
   * @throws ModelFormatException if it is not a sound safetensors file
   */
  public static Map<String, TensorEntry> read(Path file, MemorySegment bytes) {
    if (bytes.byteSize() < 8) {
      throw new ModelFormatException(
          file,
          "this is no safetensors file: it must start with the length of its header",
          bytes.byteSize() + " bytes",
          "check the path, or get the file again");
    }
    long length = bytes.get(LONG, 0);
    if (length < 2 || length > MAX_HEADER_BYTES) {
      throw new ModelFormatException(
          file,
          "the header's length is absurd: at most %d bytes".formatted(MAX_HEADER_BYTES),
          Long.toUnsignedString(length),
          "check that it is a safetensors file, or get it again");
    }
    if (length > bytes.byteSize() - 8) {
      throw new ModelFormatException(
          file,
          "the file ends inside its header",
          "a header of %d bytes in a file of %d".formatted(length, bytes.byteSize()),
          "the download was cut short or the file is damaged: get it again");
    }
    JsonNode header;
    try {
      header = JSON.readTree(bytes.asSlice(8, length).toArray(ValueLayout.JAVA_BYTE));
    } catch (JacksonException e) {
      throw new ModelFormatException(
          file, "the header is not valid JSON", e.getOriginalMessage(), AGAIN, e);
    }
    if (!header.isObject()) {
      throw new ModelFormatException(
          file, "the header must be a JSON object", header.getNodeType(), AGAIN);
    }
    long dataStart = 8 + length;
    Map<String, TensorEntry> entries = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> p : header.properties()) {
      if (!p.getKey().equals("__metadata__")) {
        entries.put(p.getKey(), entry(file, p.getKey(), p.getValue(), dataStart));
      }
    }
    requireGapless(file, entries, dataStart, bytes.byteSize());
    return Collections.unmodifiableMap(entries);
  }

  /**
   * The weight files of a model folder: those that {@code model.safetensors.index.json} names, or
   * {@code model.safetensors} alone.
   *
   * @throws ModelFormatException if there is neither, or the index names something outside
   */
  public static List<Path> files(Path folder) {
    Path index = folder.resolve("model.safetensors.index.json");
    Path single = folder.resolve("model.safetensors");
    if (Files.exists(index)) {
      return indexed(folder, index);
    }
    if (Files.exists(single) || Files.isSymbolicLink(single)) {
      return List.of(single);
    }
    throw new ModelFormatException(
        folder,
        "the folder holds no weights",
        "neither model.safetensors nor model.safetensors.index.json",
        "download the safetensors files of the model, or name a GGUF file");
  }

  /** Names of the weight files that an index refers to. */
  public static List<String> indexedFiles(Path index, byte[] json) {
    JsonNode map;
    try {
      map = JSON.readTree(json).path("weight_map");
    } catch (JacksonException e) {
      throw new ModelFormatException(
          index, "the index is not valid JSON", e.getOriginalMessage(), AGAIN, e);
    }
    if (!map.isObject() || map.isEmpty()) {
      throw new ModelFormatException(
          index, "the index must have a weight_map", map.getNodeType(), AGAIN);
    }
    TreeSet<String> names = new TreeSet<>();
    for (Map.Entry<String, JsonNode> p : map.properties()) {
      String name = p.getValue().isString() ? p.getValue().stringValue() : p.getValue().toString();
      if (!name.matches("[A-Za-z0-9_][A-Za-z0-9._-]{0,254}") || !name.endsWith(".safetensors")) {
        throw new ModelFormatException(
            index,
            "the index must name safetensors files in the same folder",
            name,
            "do not use this model, or get it again");
      }
      names.add(name);
    }
    return List.copyOf(names);
  }

  private static List<Path> indexed(Path folder, Path index) {
    List<Path> files = new ArrayList<>();
    for (String name : indexedFiles(index, MappedFile.readSmall(index, MAX_INDEX_BYTES))) {
      files.add(folder.resolve(name));
    }
    return files;
  }

  private static TensorEntry entry(Path file, String name, JsonNode node, long dataStart) {
    String typeName = node.path("dtype").asString("");
    @Nullable Integer width = ELEMENT_BYTES.get(typeName);
    JsonNode sizes = node.path("shape");
    JsonNode offsets = node.path("data_offsets");
    if (width == null) {
      throw new ModelFormatException(
          file,
          "tensor " + name + " has an unknown type",
          node.path("dtype"),
          "use a model in F32, F16 or BF16");
    }
    if (!sizes.isArray()
        || sizes.size() > MAX_DIMENSIONS
        || !offsets.isArray()
        || offsets.size() != 2) {
      throw new ModelFormatException(
          file, "tensor " + name + " needs a shape and two data_offsets", node, AGAIN);
    }
    long elements = 1;
    List<Long> shape = new ArrayList<>(sizes.size());
    for (JsonNode size : sizes) {
      long n = size.isIntegralNumber() && size.canConvertToLong() ? size.longValue() : -1;
      if (n < 1 || n > Integer.MAX_VALUE || elements > Long.MAX_VALUE / 8 / n) {
        throw new ModelFormatException(
            file, "tensor " + name + " has an absurd shape", sizes, AGAIN);
      }
      elements *= n;
      shape.add(n);
    }
    JsonNode from = offsets.get(0);
    JsonNode to = offsets.get(1);
    if (!from.isIntegralNumber()
        || !from.canConvertToLong()
        || !to.isIntegralNumber()
        || !to.canConvertToLong()
        || from.longValue() < 0
        || to.longValue() - from.longValue() != elements * width) {
      throw new ModelFormatException(
          file,
          "tensor %s of shape %s and type %s must have %d bytes"
              .formatted(name, shape, typeName, elements * width),
          "data_offsets " + offsets,
          AGAIN);
    }
    return new TensorEntry(
        name,
        typeName,
        COMPUTABLE.get(typeName),
        shape,
        Math.addExact(dataStart, Math.min(from.longValue(), Long.MAX_VALUE / 2)),
        elements * width);
  }

  private static void requireGapless(
      Path file, Map<String, TensorEntry> entries, long dataStart, long fileBytes) {
    List<TensorEntry> sorted = new ArrayList<>(entries.values());
    sorted.sort(Comparator.comparingLong(TensorEntry::offset));
    long at = dataStart;
    for (TensorEntry e : sorted) {
      if (e.offset() != at) {
        throw new ModelFormatException(
            file,
            "tensor %s %s"
                .formatted(e.name(), e.offset() < at ? "overlaps another" : "has a gap before it"),
            "data offset %d, expected %d".formatted(e.offset() - dataStart, at - dataStart),
            AGAIN);
      }
      at += e.bytes();
      if (at > fileBytes) {
        throw new ModelFormatException(
            file,
            "tensor " + e.name() + " leaves the file",
            "it ends at byte %d of %d".formatted(at, fileBytes),
            "the download was cut short or the file is damaged: get it again");
      }
    }
    if (at != fileBytes) {
      throw new ModelFormatException(
          file,
          "the file goes on after its last tensor",
          "%d bytes more".formatted(fileBytes - at),
          AGAIN);
    }
  }
}

package dev.kvdrive.model.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.kvdrive.model.file.MappedFile;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads the header of a GGUF file (versions 2 and 3, little endian; the GGUF specification of the
 * ggml project). Trusts nothing: every count, length and offset is checked against the bytes that
 * are there before it is used, so that a bad file costs at most memory in proportion to its own
 * size, and never more than {@link #MAX_HEADER_BYTES} times a small factor.
 */
public final class GgufReader {
  /** Longest header accepted. Vocabularies of 256k tokens take about 10 MB. */
  public static final long MAX_HEADER_BYTES = 256L << 20;

  static final int MAX_KEYS = 65_536;
  static final int MAX_TENSORS = 65_536;
  static final int MAX_KEY_BYTES = 65_535;
  static final int MAX_STRING_BYTES = 16 << 20;
  static final int MAX_ARRAY_ELEMENTS = 8 << 20;
  static final int MAX_DIMENSIONS = 4;
  static final int MAX_ALIGNMENT = 65_536;

  private static final int MAGIC = 0x46554747; // "GGUF"
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final String AGAIN = "download or convert the model again";

  private final Path file;
  private final MemorySegment bytes;
  private final long limit;
  private long at;

  private GgufReader(Path file, MemorySegment bytes) {
    this.file = file;
    this.bytes = bytes;
    this.limit = Math.min(bytes.byteSize(), MAX_HEADER_BYTES);
  }

  /**
   * Reads the header of a file without touching its weights.
   *
   * @throws ModelFormatException if it is not a sound GGUF file
   */
  public static GgufHeader read(Path file) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment all = MappedFile.map(file, arena);
      return read(file, all, all.byteSize());
    }
  }

  /**
   * Reads a header from memory.
   *
   * @param file for messages
   * @param start the first bytes of the file, at least the whole header
   * @param fileBytes length of the whole file, against which the place of the weights is checked
   * @throws ModelFormatException if it is not a sound GGUF file
   */
  public static GgufHeader read(Path file, MemorySegment start, long fileBytes) {
    return new GgufReader(file, start).header(fileBytes);
  }

  private GgufHeader header(long fileBytes) {
    if (bytes.byteSize() < 4 || bytes.get(INT, 0) != MAGIC) {
      throw bad(
          "this is no GGUF file: it must start with \"GGUF\"", firstBytes(), "check the path");
    }
    at = 4;
    int version = i32("the version");
    if (version != 2 && version != 3) {
      boolean swapped = Integer.reverseBytes(version) == 2 || Integer.reverseBytes(version) == 3;
      throw bad(
          swapped
              ? "the file is big endian, only little endian is supported"
              : "only GGUF versions 2 and 3 are supported",
          "version " + Integer.toUnsignedString(version),
          "convert the model again with a current converter");
    }
    long tensorCount = count("tensors", MAX_TENSORS, 24);
    long keyCount = count("metadata keys", MAX_KEYS, 13);

    Map<String, Object> values = new LinkedHashMap<>();
    for (long i = 0; i < keyCount; i++) {
      String key = string("a metadata key", MAX_KEY_BYTES);
      Object value = value(key, i32("the type of " + key), true);
      if (values.put(key, value) != null) {
        throw bad("metadata key occurs twice", key, AGAIN);
      }
    }
    GgufMetadata metadata = new GgufMetadata(file, values);
    long alignment = metadata.integer("general.alignment").orElse(32);
    if (alignment < 1 || alignment > MAX_ALIGNMENT || Long.bitCount(alignment) != 1) {
      throw bad("general.alignment must be a power of two up to 65536", alignment, AGAIN);
    }

    List<TensorEntry> entries = new ArrayList<>((int) Math.min(tensorCount, 4096));
    for (long i = 0; i < tensorCount; i++) {
      entries.add(entry(alignment));
    }
    long dataStart = Math.ceilDiv(at, alignment) * alignment;
    return new GgufHeader(version, metadata, placed(entries, dataStart, fileBytes), dataStart);
  }

  private TensorEntry entry(long alignment) {
    String name = string("a tensor name", MAX_KEY_BYTES);
    int dimensions = i32("the number of dimensions of " + name);
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      throw bad(
          "tensor " + name + " must have 1 to 4 dimensions",
          Integer.toUnsignedString(dimensions),
          AGAIN);
    }
    List<Long> shape = new ArrayList<>(dimensions);
    long elements = 1;
    for (int d = 0; d < dimensions; d++) {
      long size = i64("a size of " + name);
      if (size < 1 || size > Integer.MAX_VALUE || elements > Long.MAX_VALUE / 8 / size) {
        throw bad(
            "tensor " + name + " has an absurd size in dimension " + d,
            Long.toUnsignedString(size),
            AGAIN);
      }
      elements *= size;
      shape.add(size);
    }
    int code = i32("the type of " + name);
    long offset = i64("the offset of " + name);
    if (offset < 0 || offset % alignment != 0) {
      throw bad(
          "tensor " + name + " must start at a multiple of " + alignment + " bytes",
          Long.toUnsignedString(offset),
          AGAIN);
    }
    TensorType type = GgufTypes.type(code);
    if (type == null) {
      throw bad(
          "tensor " + name + " has a type that is not supported",
          GgufTypes.name(code),
          "use a file in one of " + GgufTypes.supported());
    }
    if (shape.getFirst() % type.blockElements() != 0) {
      throw bad(
          "rows of tensor %s must be whole %s blocks of %d"
              .formatted(name, type, type.blockElements()),
          shape.getFirst() + " elements",
          AGAIN);
    }
    Collections.reverse(shape);
    return new TensorEntry(name, type.name(), type, shape, offset, type.bytes(elements));
  }

  /** Moves offsets to the start of the file and checks that nothing leaves it or overlaps. */
  private Map<String, TensorEntry> placed(
      List<TensorEntry> entries, long dataStart, long fileBytes) {
    Map<String, TensorEntry> byName = new LinkedHashMap<>();
    for (TensorEntry e : entries) {
      if (e.offset() > fileBytes - dataStart || e.bytes() > fileBytes - dataStart - e.offset()) {
        throw bad(
            "tensor %s leaves the file: it needs bytes %s to %s of the data, the file has %d"
                .formatted(
                    e.name(),
                    e.offset(),
                    Long.toUnsignedString(e.offset() + e.bytes()),
                    Math.max(0, fileBytes - dataStart)),
            "a file of " + fileBytes + " bytes",
            "the download was cut short or the file is damaged: get it again");
      }
      TensorEntry moved =
          new TensorEntry(
              e.name(), e.typeName(), e.type(), e.shape(), dataStart + e.offset(), e.bytes());
      if (byName.put(e.name(), moved) != null) {
        throw bad("tensor occurs twice", e.name(), AGAIN);
      }
    }
    List<TensorEntry> sorted = new ArrayList<>(byName.values());
    sorted.sort(Comparator.comparingLong(TensorEntry::offset));
    for (int i = 1; i < sorted.size(); i++) {
      TensorEntry before = sorted.get(i - 1);
      TensorEntry e = sorted.get(i);
      if (before.offset() + before.bytes() > e.offset()) {
        throw bad(
            "tensors %s and %s overlap".formatted(before.name(), e.name()),
            "offset " + (e.offset() - dataStart),
            AGAIN);
      }
    }
    return Collections.unmodifiableMap(byName);
  }

  private Object value(String key, int type, boolean arrayAllowed) {
    return switch (type) {
      case 0 -> (long) Byte.toUnsignedInt(i8(key));
      case 1 -> (long) i8(key);
      case 2 -> (long) Short.toUnsignedInt(i16(key));
      case 3 -> (long) i16(key);
      case 4 -> Integer.toUnsignedLong(i32(key));
      case 5 -> (long) i32(key);
      case 6 -> (double) Float.intBitsToFloat(i32(key));
      case 7 -> truth(key);
      case 8 -> string("the value of " + key, MAX_STRING_BYTES);
      case 9 -> {
        if (!arrayAllowed) {
          throw bad("metadata key " + key + " is an array of arrays", "type 9", AGAIN);
        }
        yield array(key);
      }
      case 10 -> {
        long v = i64(key);
        if (v < 0) {
          throw bad("metadata key " + key + " is absurdly large", Long.toUnsignedString(v), AGAIN);
        }
        yield v;
      }
      case 11 -> i64(key);
      case 12 -> Double.longBitsToDouble(i64(key));
      default ->
          throw bad(
              "metadata key " + key + " has an unknown type",
              Integer.toUnsignedString(type),
              AGAIN);
    };
  }

  private Object array(String key) {
    int type = i32("the element type of " + key);
    int width =
        switch (type) {
          case 0, 1, 7 -> 1;
          case 2, 3 -> 2;
          case 4, 5, 6 -> 4;
          case 8, 10, 11, 12 -> 8;
          default ->
              throw bad(
                  "array " + key + " has elements of a type that is not supported",
                  Integer.toUnsignedString(type),
                  AGAIN);
        };
    int n = (int) count("elements of " + key, MAX_ARRAY_ELEMENTS, width);
    return switch (type) {
      case 8 -> {
        String[] strings = new String[n];
        for (int i = 0; i < n; i++) {
          strings[i] = string("an element of " + key, MAX_STRING_BYTES);
        }
        yield strings;
      }
      case 7 -> {
        boolean[] values = new boolean[n];
        for (int i = 0; i < n; i++) {
          values[i] = truth(key);
        }
        yield values;
      }
      case 6 -> {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
          values[i] = Float.intBitsToFloat(i32(key));
        }
        yield values;
      }
      case 12 -> {
        double[] values = new double[n];
        for (int i = 0; i < n; i++) {
          values[i] = Double.longBitsToDouble(i64(key));
        }
        yield values;
      }
      default -> {
        long[] values = new long[n];
        boolean fitInt = width <= 4;
        for (int i = 0; i < n; i++) {
          values[i] = (long) value(key, type, false);
          fitInt &= values[i] == (int) values[i];
        }
        yield fitInt ? Arrays.stream(values).mapToInt(v -> (int) v).toArray() : values;
      }
    };
  }

  private boolean truth(String key) {
    byte b = i8(key);
    if (b != 0 && b != 1) {
      throw bad("metadata key " + key + " must be true (1) or false (0)", b, AGAIN);
    }
    return b == 1;
  }

  /** A count, which the rest of the file must be able to hold. */
  private long count(String what, int max, int minBytesEach) {
    long n = i64("the number of " + what);
    if (n < 0 || n > max) {
      throw bad(
          "the number of %s is absurd: at most %d".formatted(what, max),
          Long.toUnsignedString(n),
          AGAIN);
    }
    need(n * minBytesEach, "the %d %s".formatted(n, what));
    return n;
  }

  private String string(String what, int maxBytes) {
    long n = i64("the length of " + what);
    if (n < 0 || n > maxBytes) {
      throw bad(what + " is longer than " + maxBytes + " bytes", Long.toUnsignedString(n), AGAIN);
    }
    need(n, what);
    byte[] raw = bytes.asSlice(at, n).toArray(ValueLayout.JAVA_BYTE);
    at += n;
    try {
      return UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT)
          .decode(ByteBuffer.wrap(raw))
          .toString();
    } catch (CharacterCodingException e) {
      throw bad(what + " is not valid UTF-8", n + " bytes at offset " + (at - n), AGAIN);
    }
  }

  private byte i8(String what) {
    need(1, what);
    return bytes.get(ValueLayout.JAVA_BYTE, at++);
  }

  private short i16(String what) {
    need(2, what);
    short v = bytes.get(SHORT, at);
    at += 2;
    return v;
  }

  private int i32(String what) {
    need(4, what);
    int v = bytes.get(INT, at);
    at += 4;
    return v;
  }

  private long i64(String what) {
    need(8, what);
    long v = bytes.get(LONG, at);
    at += 8;
    return v;
  }

  private void need(long n, String what) {
    if (n > limit - at) {
      throw bad(
          bytes.byteSize() > MAX_HEADER_BYTES
              ? "the header is longer than %d bytes".formatted(MAX_HEADER_BYTES)
              : "the file ends inside its header, in %s".formatted(what),
          "%d bytes wanted at offset %d of %d".formatted(n, at, bytes.byteSize()),
          "the download was cut short or the file is damaged: get it again");
    }
  }

  private String firstBytes() {
    StringBuilder hex = new StringBuilder();
    for (long i = 0; i < Math.min(4, bytes.byteSize()); i++) {
      hex.append("%02x ".formatted(bytes.get(ValueLayout.JAVA_BYTE, i)));
    }
    return hex.toString().trim();
  }

  private ModelFormatException bad(String what, @Nullable Object value, String wayOut) {
    return new ModelFormatException(file, what, String.valueOf(value), wayOut);
  }
}

package dev.kvdrive.calibration;

import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.model.IndexSidecar;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.safetensors.SafetensorsHeader;
import dev.kvdrive.plan.SummaryFormat;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A calibration as a safetensors file: {@code weights} is the fingerprint of the weights in ASCII
 * ({@code U8}), and each of the others has a matrix or vector in F32 for each layer and KV head:
 * {@code mean} and {@code deviation} {@code [layers][kvHeads][headDim]}, {@code forward} and {@code
 * backward} {@code [layers][kvHeads][headDim][headDim]}.
 */
public final class CalibrationFile {
  private static final Pattern FINGERPRINT = Pattern.compile("[0-9A-Za-z]{1,128}");
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private CalibrationFile() {}

  /**
   * What an index has to be given of a model.
   *
   * @param model its file or folder
   * @return null if the index needs no calibration
   * @throws IllegalArgumentException if it needs one and none is there, with the way out
   * @throws dev.kvdrive.model.file.ModelFormatException if what is there cannot be used
   */
  public static @Nullable IndexCalibration neededBy(SummaryFormat index, Path model) {
    if (!(index instanceof SummaryFormat.BitPlanes)) {
      return null;
    }
    Path file = IndexSidecar.of(model);
    if (!Files.exists(file)) {
      throw new IllegalArgumentException(
          "index %s needs a calibration of the model, and there is no %s: run ./kvdrive calibrate, or take the index two-bit"
              .formatted(index.word(), file));
    }
    return read(file);
  }

  /** Writes a file, or replaces it in one step. */
  public static void write(Path file, IndexCalibration calibration) throws IOException {
    int layers = calibration.layers().size();
    int heads = calibration.kvHeads();
    int width = calibration.headDim();
    List<Integer> vector = List.of(layers, heads, width);
    List<Integer> matrix = List.of(layers, heads, width, width);
    byte[] weights = calibration.weights().getBytes(StandardCharsets.US_ASCII);
    ByteBuffer head =
        SafetensorsHeader.of(
            List.of(
                entry("mean", vector),
                entry("deviation", vector),
                entry("forward", matrix),
                entry("backward", matrix),
                new SafetensorsHeader.Entry(
                    "weights", "U8", List.of(weights.length), weights.length)));
    Path whole = file.resolveSibling(file.getFileName() + ".part");
    try {
      try (FileChannel out =
          FileChannel.open(
              whole,
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE,
              StandardOpenOption.TRUNCATE_EXISTING)) {
        writeAll(out, head);
        writeAll(out, calibration, KeyTransform::mean);
        writeAll(out, calibration, KeyTransform::deviation);
        writeAll(out, calibration, KeyTransform::forward);
        writeAll(out, calibration, KeyTransform::backward);
        writeAll(out, ByteBuffer.wrap(weights));
      }
      Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(whole);
    }
  }

  private static void writeAll(
      FileChannel out, IndexCalibration calibration, Function<KeyTransform, float[]> part)
      throws IOException {
    for (List<KeyTransform> layer : calibration.layers()) {
      for (KeyTransform head : layer) {
        writeAll(out, bytes(part.apply(head)));
      }
    }
  }

  private static SafetensorsHeader.Entry entry(String name, List<Integer> shape) {
    long elements = shape.stream().mapToLong(Integer::longValue).reduce(1, Math::multiplyExact);
    return new SafetensorsHeader.Entry(name, "F32", shape, Float.BYTES * elements);
  }

  private static ByteBuffer bytes(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Float.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }

  private static void writeAll(FileChannel out, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }

  /**
   * Reads a file.
   *
   * @throws ModelFormatException if it is not a sound calibration
   */
  public static IndexCalibration read(Path file) {
    try (Arena arena = Arena.ofConfined()) {
      IndexSidecar.Mapped mapped = IndexSidecar.map(file, arena);
      MemorySegment bytes = mapped.bytes();
      Map<String, TensorEntry> entries = mapped.tensors();
      TensorEntry forward = required(file, entries, "forward");
      List<Long> shape = forward.shape();
      if (shape.size() != 4 || !shape.get(2).equals(shape.get(3))) {
        throw new ModelFormatException(
            file,
            "'forward' must be [layers][kvHeads][headDim][headDim]",
            shape,
            IndexSidecar.again(file));
      }
      List<Long> vector = shape.subList(0, 3);
      float[] means = floats(file, bytes, entries, "mean", vector);
      float[] deviations = floats(file, bytes, entries, "deviation", vector);
      float[] forwards = floats(file, bytes, entries, "forward", shape);
      float[] backwards = floats(file, bytes, entries, "backward", shape);
      TensorEntry weights = required(file, entries, "weights");
      String fingerprint =
          new String(
              bytes.asSlice(weights.offset(), weights.bytes()).toArray(ValueLayout.JAVA_BYTE),
              StandardCharsets.US_ASCII);
      if (!FINGERPRINT.matcher(fingerprint).matches()) {
        throw new ModelFormatException(
            file,
            "'weights' must be the fingerprint of the weights",
            fingerprint,
            IndexSidecar.again(file));
      }
      int width = Math.toIntExact(shape.get(3));
      int square = Math.multiplyExact(width, width);
      List<List<KeyTransform>> layers = new ArrayList<>();
      int at = 0;
      for (int layer = 0; layer < shape.get(0); layer++) {
        List<KeyTransform> heads = new ArrayList<>();
        for (int head = 0; head < shape.get(1); head++, at++) {
          heads.add(
              new KeyTransform(
                  part(means, at, width),
                  part(forwards, at, square),
                  part(backwards, at, square),
                  part(deviations, at, width)));
        }
        layers.add(heads);
      }
      return new IndexCalibration(fingerprint, layers);
    }
  }

  private static float[] part(float[] all, int index, int length) {
    return Arrays.copyOfRange(all, index * length, (index + 1) * length);
  }

  private static TensorEntry required(Path file, Map<String, TensorEntry> entries, String name) {
    TensorEntry entry = entries.get(name);
    if (entry == null) {
      throw new ModelFormatException(
          file,
          "a calibration must have a tensor '" + name + "'",
          entries.keySet(),
          IndexSidecar.again(file));
    }
    return entry;
  }

  private static float[] floats(
      Path file,
      MemorySegment bytes,
      Map<String, TensorEntry> entries,
      String name,
      List<Long> shape) {
    TensorEntry entry = required(file, entries, name);
    if (!entry.typeName().equals("F32") || !entry.shape().equals(shape)) {
      throw new ModelFormatException(
          file,
          "'%s' must be F32 of shape %s".formatted(name, shape),
          entry.typeName() + " " + entry.shape(),
          IndexSidecar.again(file));
    }
    float[] values = bytes.asSlice(entry.offset(), entry.bytes()).toArray(FLOAT);
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw new ModelFormatException(
            file,
            "'%s' must hold numbers".formatted(name),
            values[i] + " at " + i,
            IndexSidecar.again(file));
      }
    }
    return values;
  }
}

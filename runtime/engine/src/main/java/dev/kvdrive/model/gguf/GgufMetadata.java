package dev.kvdrive.model.gguf;

import dev.kvdrive.model.file.ModelFormatException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * The key-value part of a GGUF header. Integers of every width are {@link Long} (unsigned 64-bit
 * values above {@link Long#MAX_VALUE} are refused on reading), floats are {@link Double}, arrays
 * are {@code long[]}, {@code double[]}, {@code boolean[]} or {@code List<String>}.
 */
public final class GgufMetadata {
  private final Path file;
  private final Map<String, Object> values;

  GgufMetadata(Path file, Map<String, Object> values) {
    this.file = file;
    this.values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
  }

  /** The file it was read from, for messages. */
  public Path file() {
    return file;
  }

  /** All keys in file order. */
  public Iterable<String> keys() {
    return values.keySet();
  }

  /** True if the key is there. */
  public boolean has(String key) {
    return values.containsKey(key);
  }

  /** A text value, empty if absent. */
  public Optional<String> string(String key) {
    return Optional.ofNullable(typed(key, String.class, "a string"));
  }

  /** An integer value, empty if absent. */
  public OptionalLong integer(String key) {
    Long v = typed(key, Long.class, "an integer");
    return v == null ? OptionalLong.empty() : OptionalLong.of(v);
  }

  /** A number, integer or float, empty if absent. */
  public OptionalDouble number(String key) {
    Object v = values.get(key);
    if (v instanceof Long l) {
      return OptionalDouble.of(l);
    }
    Double d = typed(key, Double.class, "a number");
    return d == null ? OptionalDouble.empty() : OptionalDouble.of(d);
  }

  /** A truth value, empty if absent. */
  public Optional<Boolean> bool(String key) {
    return Optional.ofNullable(typed(key, Boolean.class, "true or false"));
  }

  /** An array of strings (not copied; unmodifiable), empty if absent. */
  @SuppressWarnings("unchecked") // the reader makes lists of strings only
  public Optional<List<String>> strings(String key) {
    return Optional.ofNullable((List<String>) typed(key, List.class, "an array of strings"));
  }

  /** An array of integers (a copy), empty if absent. */
  public Optional<long[]> integers(String key) {
    long[] v = typed(key, long[].class, "an array of integers");
    return v == null ? Optional.empty() : Optional.of(v.clone());
  }

  /** An array of floats (a copy), empty if absent. */
  public Optional<double[]> numbers(String key) {
    double[] v = typed(key, double[].class, "an array of floats");
    return v == null ? Optional.empty() : Optional.of(v.clone());
  }

  /** True if the value under {@code key} is an array of integers. */
  public boolean isIntegers(String key) {
    return values.get(key) instanceof long[];
  }

  private <T> @Nullable T typed(String key, Class<T> type, String wanted) {
    Object v = values.get(key);
    if (v == null) {
      return null;
    }
    if (!type.isInstance(v)) {
      throw new ModelFormatException(
          file,
          "metadata key " + key + " must be " + wanted,
          v.getClass().isArray() ? "an array" : v,
          "convert the model again with a current converter");
    }
    return type.cast(v);
  }
}

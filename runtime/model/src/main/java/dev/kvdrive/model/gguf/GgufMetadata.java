package dev.kvdrive.model.gguf;

import dev.kvdrive.model.file.ModelFormatException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * The key-value part of a GGUF header. Scalars are {@link String}, {@link Boolean}, {@link Long}
 * for integers of every width (unsigned 64-bit values above {@link Long#MAX_VALUE} are refused on
 * reading) and {@link Double}; arrays are {@code String[]}, {@code boolean[]}, {@code int[]} for
 * integers of up to 32 bits ({@code long[]} where one does not fit), {@code long[]} for 64 bits,
 * {@code float[]} and {@code double[]}.
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

  /** All values by key, in file order; unmodifiable. The arrays are shared: do not write. */
  public Map<String, Object> asMap() {
    return values;
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

  /** True if the value under {@code key} is an array. */
  public boolean isArray(String key) {
    Object v = values.get(key);
    return v != null && v.getClass().isArray();
  }

  /** An array of integers (a copy), empty if absent. */
  public Optional<long[]> integers(String key) {
    Object v = values.get(key);
    if (v instanceof int[] ints) {
      return Optional.of(Arrays.stream(ints).asLongStream().toArray());
    }
    long[] longs = typed(key, long[].class, "an array of integers");
    return longs == null ? Optional.empty() : Optional.of(longs.clone());
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

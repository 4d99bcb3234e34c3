package dev.kvdrive.cli.cluster;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * What was read, or why it was not: a report goes on without it and says so.
 *
 * @param value null if it was not read
 * @param fault why, with the way out; null if it was
 */
public record Read<T>(@Nullable T value, @Nullable String fault) {
  public static <T> Read<T> of(T value) {
    return new Read<>(value, null);
  }

  public static <T> Read<T> not(String fault) {
    return new Read<>(null, fault);
  }

  public T orElse(T other) {
    return value == null ? other : value;
  }

  public <R> Read<R> map(Function<T, R> made) {
    return value == null ? new Read<>(null, fault) : of(made.apply(value));
  }
}

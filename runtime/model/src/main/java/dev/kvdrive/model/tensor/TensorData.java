package dev.kvdrive.model.tensor;

import java.lang.foreign.MemorySegment;

/**
 * A weight matrix (or vector: one row) in host memory, usually a view of a mapped file.
 *
 * @param name as in the model file, for messages
 * @param type storage type
 * @param rows output features; 1 for a vector
 * @param cols input features
 * @param data {@code rows} rows of {@code type.bytes(cols)} bytes each, contiguous, row-major;
 *     owned by whoever mapped it and valid as long as the model is open
 */
public record TensorData(String name, TensorType type, int rows, int cols, MemorySegment data) {
  public TensorData {
    if (rows < 1 || cols < 1) {
      throw new IllegalArgumentException("tensor %s has shape %d x %d".formatted(name, rows, cols));
    }
    long want = type.bytes(cols) * rows;
    if (data.byteSize() != want) {
      throw new IllegalArgumentException(
          "tensor %s of %d x %d %s needs %d bytes, got %d"
              .formatted(name, rows, cols, type, want, data.byteSize()));
    }
  }

  /** Bytes of one row. */
  public long rowBytes() {
    return type.bytes(cols);
  }

  /** Bytes of the whole matrix. */
  public long bytes() {
    return data.byteSize();
  }

  /** The rows {@code from} (inclusive) to {@code to} (exclusive), sharing the memory. */
  public TensorData rows(int from, int to) {
    return new TensorData(
        name + "[" + from + ":" + to + "]",
        type,
        to - from,
        cols,
        data.asSlice(from * rowBytes(), (to - from) * rowBytes()));
  }
}

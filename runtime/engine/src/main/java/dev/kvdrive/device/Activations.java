package dev.kvdrive.device;

/**
 * A view of rows of activations: element {@code i} of row {@code r} lies at {@code offset + r *
 * stride + i} elements. A view has no width of its own: the operation gives it.
 *
 * @param buffer memory
 * @param type of the elements: {@link Device#activationType}, F32 where an operation says so
 * @param offset elements before the first row
 * @param stride elements from one row to the next
 */
public record Activations(DeviceBuffer buffer, ElementType type, int offset, int stride) {
  /** Rows of {@code width} elements that fill a buffer from its start. */
  public static Activations dense(DeviceBuffer buffer, ElementType type, int width) {
    return new Activations(buffer, type, 0, width);
  }

  /** The same rows from element {@code first} on. */
  public Activations from(int first) {
    return new Activations(buffer, type, offset + first, stride);
  }

  /** The rows from {@code row} on. */
  public Activations row(int row) {
    int before = Math.multiplyExact(row, stride);
    return new Activations(buffer, type, Math.addExact(offset, before), stride);
  }
}

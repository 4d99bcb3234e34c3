package dev.kvdrive.cpu;

import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A weight that is read where it is, usually in a mapped model file: tensors of equal width stacked
 * row-wise, each in its own storage type.
 *
 * <p>Nothing is repacked. Only a vector (one row: a norm's gain, a bias) that is not F32 has a copy
 * in F32, since pointwise kernels read it as such.
 *
 * <p>Threads: immutable; readers must be done before {@link #close}.
 */
final class CpuWeight implements Weight {
  private final String name;
  private final int rows;
  private final int cols;
  private final long bytes;
  private final TensorType[] types;
  private final long[] addresses;
  private final long[] rowBytes;

  /** First row of each part, then the number of rows. */
  private final int[] firstRows;

  /** Keeps memory reachable that is freed with its last reference. */
  @SuppressWarnings("unused")
  private final List<TensorData> parts;

  private final long floats;
  private final @Nullable Arena copy;
  private final Runnable onClose;
  private boolean closed;

  /**
   * @param parts stacked in this order, in native memory that stays valid until {@link #close}
   * @param onClose runs once, at the first {@link #close}
   * @throws IllegalArgumentException if there are no parts, their widths differ, or one is not in
   *     native memory
   */
  @SuppressWarnings("MustBeClosed") // the copy is closed with the weight
  CpuWeight(String name, List<TensorData> parts, Runnable onClose) {
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("weight " + name + " has no parts");
    }
    this.name = name;
    this.parts = List.copyOf(parts);
    this.onClose = onClose;
    cols = parts.getFirst().cols();
    int count = parts.size();
    types = new TensorType[count];
    addresses = new long[count];
    rowBytes = new long[count];
    firstRows = new int[count + 1];
    long total = 0;
    for (int i = 0; i < count; i++) {
      TensorData part = parts.get(i);
      if (part.cols() != cols) {
        throw new IllegalArgumentException(
            "weight %s stacks %s with %d columns on %s with %d"
                .formatted(name, part.name(), part.cols(), parts.getFirst().name(), cols));
      }
      if (!part.data().isNative()) {
        throw new IllegalArgumentException(
            "tensor %s of weight %s is on the Java heap: kernels read native memory only"
                .formatted(part.name(), name));
      }
      types[i] = part.type();
      addresses[i] = part.data().address();
      rowBytes[i] = part.rowBytes();
      firstRows[i + 1] = Math.addExact(firstRows[i], part.rows());
      total += part.bytes();
    }
    rows = firstRows[count];
    bytes = total;
    if (rows > 1) {
      copy = null;
      floats = 0;
    } else if (types[0] == TensorType.F32) {
      copy = null;
      floats = addresses[0];
    } else {
      copy = Arena.ofShared();
      MemorySegment vector = copy.allocate(4L * cols, 64);
      floats = vector.address();
      row(0, floats);
    }
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int cols() {
    return cols;
  }

  @Override
  public long bytes() {
    return bytes;
  }

  /** Stacked tensors. */
  int parts() {
    return types.length;
  }

  /** First row of part {@code part}; of part {@link #parts}, the number of rows. */
  int firstRow(int part) {
    return firstRows[part];
  }

  /** Rows of {@code part}. */
  int rows(int part) {
    return firstRows[part + 1] - firstRows[part];
  }

  TensorType type(int part) {
    return types[part];
  }

  /** Bytes of one row of {@code part}. */
  long rowBytes(int part) {
    return rowBytes[part];
  }

  /** Where {@code row}, counted in the whole stack and in {@code part}, begins. */
  long address(int part, int row) {
    return addresses[part] + (row - firstRows[part]) * rowBytes[part];
  }

  /**
   * Writes {@code row} as F32.
   *
   * @param address receives {@link #cols} floats
   * @throws IndexOutOfBoundsException if there is no such row
   */
  void row(int row, long address) {
    if (row < 0 || row >= rows) {
      throw new IndexOutOfBoundsException(
          "row %d of weight %s with %d rows".formatted(row, name, rows));
    }
    int part = 0;
    while (row >= firstRows[part + 1]) {
      part++;
    }
    UnpackKernels.floats(types[part], address(part, row), cols, address);
  }

  /**
   * Where a vector is in F32: {@link #cols} floats, valid until {@link #close}.
   *
   * @throws IllegalStateException if the weight is a matrix
   */
  long floats() {
    if (rows > 1) {
      throw new IllegalStateException(
          "weight %s is no vector: it has %d rows of %d".formatted(name, rows, cols));
    }
    return floats;
  }

  @Override
  public void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    if (copy != null) {
      copy.close();
    }
    onClose.run();
  }
}

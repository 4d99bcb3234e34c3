package dev.kvdrive.bench.model;

import dev.kvdrive.model.tensor.TensorType;
import java.util.List;

/**
 * A tensor that is to be written to a file.
 *
 * @param name in the file
 * @param type in the file
 * @param shape rows first; one number for a vector
 * @param rows makes the values
 */
record TensorSource(String name, TensorType type, List<Integer> shape, Rows rows) {
  /** Makes the values of a tensor, row by row. */
  @FunctionalInterface
  interface Rows {
    /** Puts the values of row {@code row} into {@code out}, which has their number. */
    void row(int row, float[] out);
  }

  TensorSource {
    shape = List.copyOf(shape);
  }

  int rowCount() {
    return shape.size() == 1 ? 1 : shape.getFirst();
  }

  int cols() {
    return shape.getLast();
  }

  long bytes() {
    return rowCount() * type.bytes(cols());
  }
}

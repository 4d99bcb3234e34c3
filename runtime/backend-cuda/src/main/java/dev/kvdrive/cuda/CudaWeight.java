package dev.kvdrive.cuda;

import dev.kvdrive.device.Weight;
import dev.kvdrive.plan.WeightFormat;
import java.util.List;

/**
 * A weight on the device: a vector in F32, or a matrix of parts that lie one below the other, each
 * in the format that holds what is stored.
 *
 * @param parts in the order of their rows
 */
record CudaWeight(String name, int rows, int cols, List<Part> parts) implements Weight {
  /**
   * Rows of one format: row-major without gaps, or in tiles ({@link PackedTiles}).
   *
   * @param firstRow of the weight
   * @param memory its memory, which is the weight's
   */
  record Part(WeightFormat format, int firstRow, int rows, CudaBuffer memory) {}

  CudaWeight {
    parts = List.copyOf(parts);
  }

  /** Where the elements of a vector are, in F32. */
  long vector() {
    Part part = parts.getFirst();
    if (rows != 1 || part.format() != WeightFormat.F32) {
      throw new IllegalStateException("weight %s of %d rows is no vector".formatted(name, rows));
    }
    return part.memory().address();
  }

  @Override
  public long bytes() {
    return parts.stream().mapToLong(part -> part.memory().bytes()).sum();
  }

  @Override
  public void close() {
    parts.forEach(part -> part.memory().close());
  }
}

package dev.kvdrive.cuda;

import static dev.kvdrive.plan.WeightFormat.TILE_ROWS;

import dev.kvdrive.plan.WeightFormat;
import java.util.Comparator;
import java.util.List;

/**
 * A kernel for products of few rows with packed matrices. All of them add in the same order, so
 * that which one it is changes no bit.
 *
 * @param tiles of a block of threads
 * @param columns times 8 rows of a block of threads
 * @param depth blocks of a row that are read ahead
 * @param residency blocks of threads that a multiprocessor holds
 */
record PackedKernel(int tiles, int columns, int depth, int residency) {
  /** Those that packed.cuh has, for as many rows as they take and more. */
  static final List<PackedKernel> ALL =
      List.of(
          new PackedKernel(1, 1, 4, 2),
          new PackedKernel(2, 1, 2, 2),
          new PackedKernel(2, 1, 4, 1),
          new PackedKernel(4, 1, 2, 1),
          new PackedKernel(1, 2, 4, 1),
          new PackedKernel(2, 2, 2, 1),
          new PackedKernel(4, 2, 1, 1),
          new PackedKernel(1, 4, 2, 1),
          new PackedKernel(2, 4, 2, 1),
          new PackedKernel(4, 4, 1, 1));

  /** Rows of a column of the matrix instruction. */
  private static final int COLUMN_ROWS = 8;

  /** Floats between the rows of a part of a sum. */
  private static final int PADDING = 4;

  /** The one for a matrix of {@code outputs} rows that is multiplied with {@code rows}. */
  static PackedKernel of(int outputs, int rows, int multiprocessors) {
    int columns = Math.min(Integer.highestOneBit((Math.ceilDiv(rows, COLUMN_ROWS) << 1) - 1), 4);
    // More tiles read activations less often, as long as every multiprocessor has something to do.
    return ALL.stream()
        .filter(k -> k.columns == columns)
        .filter(k -> k.tiles == 1 || 10L * k.blocks(outputs) >= 9L * multiprocessors * k.residency)
        .max(Comparator.comparingInt(PackedKernel::tiles).thenComparingInt(k -> -k.depth))
        .orElseThrow();
  }

  /** In the module. */
  String name(WeightFormat format) {
    return "packed_%d_%d_%d_%d".formatted(format.bits(), tiles, columns, depth);
  }

  /** Blocks of threads that a matrix is divided into. */
  int blocks(int outputs) {
    return Math.ceilDiv(Math.ceilDiv(outputs, TILE_ROWS), tiles);
  }

  /** Times that a block of a matrix is multiplied, with other rows each time. */
  int passes(int rows) {
    return Math.ceilDiv(rows, COLUMN_ROWS * columns);
  }

  /** Shared memory for the parts of the sums, of eight rows at a time. */
  int sharedBytes() {
    return Constants.PACKED_WARPS * COLUMN_ROWS * (TILE_ROWS * tiles + PADDING) * Float.BYTES;
  }
}

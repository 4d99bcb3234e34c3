package dev.kvdrive.cuda;

import static dev.kvdrive.plan.WeightFormat.TILE_ROWS;

import dev.kvdrive.plan.WeightFormat;
import java.util.Comparator;
import java.util.List;

/**
 * A kernel for products of few rows with packed matrices. All of them add in the same order, so
 * that which one it is changes no bit.
 *
 * @param tiles of a warp
 * @param columns times 8 rows of a block of threads
 * @param depth blocks of a row that are read at once
 * @param slices of the rows that a warp sums; as many warps have the same ones, of other tiles
 * @param residency blocks of threads that a multiprocessor holds
 */
record PackedKernel(int tiles, int columns, int depth, int slices, int residency) {
  /** Those that packed.cuh has. */
  static final List<PackedKernel> ALL =
      List.of(
          new PackedKernel(1, 1, 4, 1, 2),
          new PackedKernel(2, 1, 2, 1, 2),
          new PackedKernel(2, 2, 2, 1, 1),
          new PackedKernel(1, 2, 4, 4, 1),
          new PackedKernel(2, 2, 2, 4, 1),
          new PackedKernel(2, 4, 2, 1, 1),
          new PackedKernel(1, 4, 2, 4, 1),
          new PackedKernel(1, 4, 4, 4, 1),
          new PackedKernel(2, 4, 2, 4, 1));

  /** Rows of a column of the matrix instruction. */
  private static final int COLUMN_ROWS = 8;

  /** Floats between the rows of a part of a sum. */
  private static final int PADDING = 4;

  /** The one for a matrix of {@code outputs} rows that is multiplied with {@code rows}. */
  static PackedKernel of(WeightFormat format, int outputs, int rows, int multiprocessors) {
    int columns = Math.min(Integer.highestOneBit((Math.ceilDiv(rows, COLUMN_ROWS) << 1) - 1), 4);
    if (columns == 1) {
      // Two tiles read activations half as often, which with 4 bits are as many as weights.
      // But every multiprocessor needs enough to wait for.
      PackedKernel two = ALL.get(1);
      boolean enough = 10L * two.blocks(outputs) >= 14L * multiprocessors;
      return format.bits() == 4 && enough ? two : ALL.getFirst();
    }
    List<PackedKernel> all = ALL.stream().filter(k -> k.columns == columns).toList();
    return all.stream()
        .filter(k -> k.slices > 1 && k.tiles == 1)
        .filter(k -> 10L * k.blocks(outputs) >= 14L * multiprocessors)
        .max(Comparator.comparingInt(PackedKernel::depth))
        .orElse(all.getFirst());
  }

  /** In the module. */
  String name(WeightFormat format) {
    return "packed_%d_%d_%d_%d_%d".formatted(format.bits(), tiles, columns, depth, slices);
  }

  /** Blocks of threads that a matrix is divided into. */
  int blocks(int outputs) {
    return Math.ceilDiv(Math.ceilDiv(outputs, TILE_ROWS), tiles * slices);
  }

  /** Times that a block of a matrix is multiplied, with other rows each time. */
  int passes(int rows) {
    return Math.ceilDiv(rows, COLUMN_ROWS * columns);
  }

  /** Shared memory for the parts of the sums, of eight rows at a time. */
  int sharedBytes() {
    int parts = Constants.PACKED_SLICES / slices;
    return parts * COLUMN_ROWS * (TILE_ROWS * tiles * slices + PADDING) * Float.BYTES;
  }
}

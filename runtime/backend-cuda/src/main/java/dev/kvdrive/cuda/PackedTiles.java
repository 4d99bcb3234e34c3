package dev.kvdrive.cuda;

import static dev.kvdrive.plan.WeightFormat.BLOCK;
import static dev.kvdrive.plan.WeightFormat.TILE_ROWS;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.WeightFormat;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Matrices of whole numbers with a step for each block of a row, in the order in which the product
 * reads them: {@code [tile][block]} of
 *
 * <ul>
 *   <li>the numbers of the 32 lanes of a warp, one after the other. Lane {@code 4 g + t} has
 *       elements {@code 8 t} to {@code 8 t + 7} of the block of row {@code g} of the tile, then
 *       those of row {@code g + 8}. In 8 bits the second and the third of four have changed places;
 *       in 4 bits, with 8 added, the even ones are the lower half of a word and the odd ones the
 *       upper: so a mask takes out two neighbours, 16 bits apart;
 *   <li>the steps in F16: of row 0, row 8, row 1, row 9 and so on.
 * </ul>
 *
 * A last tile that is not full ends with rows of zeros.
 */
final class PackedTiles {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  /** Rows of the lower half of a tile. */
  private static final int HALF = TILE_ROWS / 2;

  /** Elements of a lane in a row of a block, and lanes that share one. */
  private static final int OF_LANE = 8;

  private static final int LANES_OF_ROW = BLOCK / OF_LANE;

  private final WeightFormat format;
  private final List<TensorData> parts;
  private final int cols;
  private final int rows;

  /**
   * @param format which all parts have
   * @param parts one below the other
   */
  PackedTiles(WeightFormat format, List<TensorData> parts) {
    this.format = format;
    this.parts = parts;
    cols = parts.getFirst().cols();
    rows = parts.stream().mapToInt(TensorData::rows).sum();
  }

  /** How many there are. */
  int count() {
    return Math.ceilDiv(rows, TILE_ROWS);
  }

  /** Bytes of a tile. */
  long bytes() {
    return (long) cols / BLOCK * format.tileBlockBytes();
  }

  /** Tiles {@code [first, first + count)} to the start of {@code out}, in parallel. */
  void write(int first, int count, MemorySegment out) {
    IntStream.range(0, count)
        .parallel()
        .forEach(i -> writeTile(first + i, out.asSlice(i * bytes(), bytes())));
  }

  private void writeTile(int tile, MemorySegment out) {
    for (int i = 0; i < TILE_ROWS; i++) {
      int row = TILE_ROWS * tile + i;
      if (row >= rows) {
        writeZeros(i, out);
        continue;
      }
      int part = 0;
      while (row >= parts.get(part).rows()) {
        row -= parts.get(part++).rows();
      }
      TensorData tensor = parts.get(part);
      writeRow(i, tensor.data().asSlice(row * tensor.rowBytes(), tensor.rowBytes()), out);
    }
  }

  private void writeRow(int row, MemorySegment in, MemorySegment out) {
    int laneBytes = laneBytes();
    int blockBytes = type().blockBytes();
    for (int block = 0; block < cols / BLOCK; block++) {
      long from = (long) block * blockBytes;
      long numbers = from + Short.BYTES;
      long record = (long) block * format.tileBlockBytes();
      out.set(SHORT, record + stepAt(row), in.get(SHORT, from));
      for (int t = 0; t < LANES_OF_ROW; t++) {
        long to = record + laneAt(row, t, laneBytes);
        if (format == WeightFormat.Q8_0) {
          out.set(LONG, to, exchanged(in.get(LONG, numbers + (long) OF_LANE * t)));
        } else {
          // Elements of the lower half of a block are in the lower half of its bytes.
          long bytes = in.get(LONG, numbers + (long) OF_LANE * (t % 2));
          out.set(INT, to, interleaved(bytes >>> (t / 2 * 4)));
        }
      }
    }
  }

  private void writeZeros(int row, MemorySegment out) {
    int laneBytes = laneBytes();
    for (int block = 0; block < cols / BLOCK; block++) {
      long record = (long) block * format.tileBlockBytes();
      out.set(SHORT, record + stepAt(row), (short) 0);
      for (int t = 0; t < LANES_OF_ROW; t++) {
        long to = record + laneAt(row, t, laneBytes);
        if (format == WeightFormat.Q8_0) {
          out.set(LONG, to, 0);
        } else {
          out.set(INT, to, 0);
        }
      }
    }
  }

  private TensorType type() {
    return format == WeightFormat.Q8_0 ? TensorType.Q8_0 : TensorType.Q4_0;
  }

  /** Bytes of a row of a block that a lane has. */
  private int laneBytes() {
    return OF_LANE * format.bits() / Byte.SIZE;
  }

  /** Where lane {@code t} of those of a row has its numbers, in a block of a tile. */
  private static int laneAt(int row, int t, int laneBytes) {
    return (row % HALF * LANES_OF_ROW + t) * 2 * laneBytes + row / HALF * laneBytes;
  }

  private int stepAt(int row) {
    int numbers = TILE_ROWS * BLOCK * format.bits() / Byte.SIZE;
    return numbers + (row % HALF * 2 + row / HALF) * Short.BYTES;
  }

  /** Four bytes and four bytes, the second and the third of each exchanged. */
  private static long exchanged(long x) {
    return (x & 0xff0000ff_ff0000ffL)
        | ((x & 0x0000ff00_0000ff00L) << 8)
        | ((x >>> 8) & 0x0000ff00_0000ff00L);
  }

  /** The lower halves of eight bytes: the even ones, then the odd ones. */
  private static int interleaved(long x) {
    return (int)
        (Long.compress(x, 0x000f000f_000f000fL) | (Long.compress(x, 0x0f000f00_0f000f00L) << 16));
  }
}

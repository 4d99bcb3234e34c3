package dev.kvdrive.cpu;

import jdk.incubator.vector.IntVector;

/**
 * Words of several rows so that those of one column follow each other. Where vectors have sixteen
 * lanes, sixteen rows of sixteen words are turned in registers: words that were written one by one
 * could not be read as vectors before the processor has written them to its cache. Kernels: see
 * {@link Lanes}.
 */
final class TransposeKernels {
  private static final int LANES = 16;

  /** Floats of working memory. */
  static final int SCRATCH_FLOATS = LANES * LANES;

  private static final boolean IN_REGISTERS = Lanes.N == LANES;

  private static final IntVector LOW8 = IntVector.fromArray(Lanes.I, lanes(8, false), 0);
  private static final IntVector HIGH8 = IntVector.fromArray(Lanes.I, lanes(8, true), 0);
  private static final IntVector LOW4 = IntVector.fromArray(Lanes.I, lanes(4, false), 0);
  private static final IntVector HIGH4 = IntVector.fromArray(Lanes.I, lanes(4, true), 0);
  private static final IntVector LOW2 = IntVector.fromArray(Lanes.I, lanes(2, false), 0);
  private static final IntVector HIGH2 = IntVector.fromArray(Lanes.I, lanes(2, true), 0);
  private static final IntVector LOW1 = IntVector.fromArray(Lanes.I, lanes(1, false), 0);
  private static final IntVector HIGH1 = IntVector.fromArray(Lanes.I, lanes(1, true), 0);

  private TransposeKernels() {}

  /**
   * Of two vectors, the lanes of a square of four that change over: in the first of two rows those
   * with {@code bit} come from the other row, in the second those without.
   */
  private static int[] lanes(int bit, boolean second) {
    int[] from = new int[Lanes.N];
    for (int lane = 0; lane < from.length; lane++) {
      boolean with = (lane & bit) != 0;
      from[lane] =
          second ? (with ? Lanes.N + lane : lane + bit) : (with ? Lanes.N + lane - bit : lane);
    }
    return from;
  }

  /**
   * Writes word {@code j} of row {@code i} to {@code target[j][i]}.
   *
   * @param source address of the first row
   * @param bytes from one row to the next
   * @param rows at most {@code NibbleKernels.BLOCK}; what is written for more is anything
   * @param words of a row
   * @param target address of {@code int[words][BLOCK]}
   * @param scratch address of {@link #SCRATCH_FLOATS} floats, overwritten
   */
  static void words(long source, long bytes, int rows, int words, long target, long scratch) {
    if (!IN_REGISTERS || words < LANES) {
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < words; j++) {
          int word = Memory.getInt(source + i * bytes + 4L * j);
          Memory.putInt(target + 4L * ((long) j * NibbleKernels.BLOCK + i), word);
        }
      }
      return;
    }
    for (int row = 0; row < rows; row += LANES) {
      for (int from = 0; from < words; from += LANES) {
        // The last columns a second time rather than any behind them.
        int column = Math.min(from, words - LANES);
        square(
            source + row * bytes + 4L * column,
            bytes,
            rows - row - 1,
            target + 4L * ((long) column * NibbleKernels.BLOCK + row),
            scratch);
      }
    }
  }

  /**
   * @param last row; those behind it are read as it
   */
  private static void square(long source, long bytes, int last, long target, long scratch) {
    for (int i = 0; i < 4; i++) {
      IntVector a = Lanes.loadInts(source + bytes * Math.min(i, last));
      IntVector b = Lanes.loadInts(source + bytes * Math.min(i + 4, last));
      IntVector c = Lanes.loadInts(source + bytes * Math.min(i + 8, last));
      IntVector d = Lanes.loadInts(source + bytes * Math.min(i + 12, last));
      IntVector e = LOW8.selectFrom(a, c);
      IntVector f = LOW8.selectFrom(b, d);
      IntVector g = HIGH8.selectFrom(a, c);
      IntVector h = HIGH8.selectFrom(b, d);
      long to = scratch + 64L * i;
      Lanes.store(LOW4.selectFrom(e, f), to);
      Lanes.store(HIGH4.selectFrom(e, f), to + 64 * 4);
      Lanes.store(LOW4.selectFrom(g, h), to + 64 * 8);
      Lanes.store(HIGH4.selectFrom(g, h), to + 64 * 12);
    }
    long column = 4L * NibbleKernels.BLOCK;
    for (int i = 0; i < LANES; i += 4) {
      long from = scratch + 64L * i;
      IntVector a = Lanes.loadInts(from);
      IntVector b = Lanes.loadInts(from + 64);
      IntVector c = Lanes.loadInts(from + 64 * 2);
      IntVector d = Lanes.loadInts(from + 64 * 3);
      IntVector e = LOW2.selectFrom(a, c);
      IntVector f = LOW2.selectFrom(b, d);
      IntVector g = HIGH2.selectFrom(a, c);
      IntVector h = HIGH2.selectFrom(b, d);
      long to = target + column * i;
      Lanes.store(LOW1.selectFrom(e, f), to);
      Lanes.store(HIGH1.selectFrom(e, f), to + column);
      Lanes.store(LOW1.selectFrom(g, h), to + column * 2);
      Lanes.store(HIGH1.selectFrom(g, h), to + column * 3);
    }
  }
}

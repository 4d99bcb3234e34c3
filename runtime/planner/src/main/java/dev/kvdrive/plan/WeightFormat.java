package dev.kvdrive.plan;

/**
 * How a GPU holds a weight. Whole numbers with a step for each block of a row stay what they are in
 * their file, in tiles of rows ({@link #TILE_ROWS}); the rest is what its elements are computed
 * with.
 */
public enum WeightFormat {
  /** Vectors. */
  F32(32),
  /** Matrices that nothing narrower holds exactly, rounded if they are stored wider. */
  BF16(16),
  /** Numbers of 8 bits. */
  Q8_0(8),
  /** Numbers of 4 bits. */
  Q4_0(4);

  /** Rows of a tile; a matrix has whole tiles. */
  public static final int TILE_ROWS = 16;

  /** Elements of a row that have one step, and elements that rows are a multiple of. */
  public static final int BLOCK = 32;

  private final int bits;

  WeightFormat(int bits) {
    this.bits = bits;
  }

  /**
   * How a GPU holds a weight.
   *
   * @param stored type of its elements in the file, as GGUF names it: {@code Q8_0}
   * @param rows of the weight; one with one row is a vector
   */
  public static WeightFormat of(String stored, long rows) {
    if (rows == 1) {
      return F32;
    }
    return switch (stored) {
      case "Q8_0" -> Q8_0;
      case "Q4_0" -> Q4_0;
      default -> BF16;
    };
  }

  /** Bits of an element, beside the steps. */
  public int bits() {
    return bits;
  }

  /** Whether elements are whole numbers with a step for each block. */
  public boolean packed() {
    return this == Q8_0 || this == Q4_0;
  }

  /** Bytes of a block of the rows of a tile: their numbers, and a step in F16 for each of them. */
  public int tileBlockBytes() {
    if (!packed()) {
      throw new IllegalStateException(this + " has no tiles");
    }
    return TILE_ROWS * (BLOCK * bits / Byte.SIZE + Short.BYTES);
  }

  /** Bytes of a weight of so many rows. */
  public long bytes(long rows, long cols) {
    if (!packed()) {
      return Math.multiplyExact(Math.multiplyExact(rows, cols), (long) bits / Byte.SIZE);
    }
    if (cols % BLOCK != 0) {
      throw new IllegalArgumentException(
          "%d elements are not a whole number of blocks of %d".formatted(cols, BLOCK));
    }
    return Math.multiplyExact(
        Math.multiplyExact(Math.ceilDiv(rows, (long) TILE_ROWS), cols / BLOCK),
        (long) tileBlockBytes());
  }
}

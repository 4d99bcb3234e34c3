package dev.kvdrive.plan;

/**
 * A chunk of one (layer, KV head) in a format, little endian: a half for the keys, then one like it
 * for the values. A half is {@code elements[chunk][headDim]}, row-major, and in {@link
 * ChunkFormat#INT8} behind them {@code step[chunk]} in bf16, filled up to whole {@link
 * #ALIGNMENT}s.
 *
 * <p>An INT8 element is {@code code * step} of its row; all arithmetic is in F32, so that a chunk
 * has the same bytes on every device:
 *
 * <ul>
 *   <li>With {@code a} the largest absolute element of the row, {@code step} is {@code a * (1 /
 *       127)} rounded to bf16; but if that does not give the row back and the next smaller or the
 *       next larger number in bf16 does, it is that one. So a row that was decoded, each element
 *       rounded to the type of keys and values, is encoded and decoded without another error: its
 *       largest code was 127, so that its step is one of these three. Where {@code a} is below
 *       {@link #SMALLEST} the step and every code are 0.
 *   <li>A code is {@code element * (1 / step)}, rounded to the nearest whole number (ties to even),
 *       at least -127 and at most 127.
 * </ul>
 *
 * @param format of the elements
 * @param headDim elements of a key, and of a value
 * @param chunk tokens of a chunk
 */
public record ChunkLayout(ChunkFormat format, int headDim, int chunk) {
  /** Largest code, and minus the smallest. */
  public static final int MOST = 127;

  /** Largest absolute element from which on a row has a step: the inverse of that is finite. */
  public static final float SMALLEST = 0x1p-100f;

  /** Halves with steps are whole multiples of this many bytes, so that vectors can be loaded. */
  public static final int ALIGNMENT = 16;

  /** Bytes of the elements of one row. */
  public int rowBytes() {
    return headDim * format.bytes();
  }

  /** Bytes of a half, which is the offset of the values. */
  public int valueOffset() {
    int rows = chunk * rowBytes();
    return format == ChunkFormat.INT8
        ? Math.ceilDiv(rows + chunk * Short.BYTES, ALIGNMENT) * ALIGNMENT
        : rows;
  }

  /** Offset of the steps in a half that has them. */
  public int stepOffset() {
    return chunk * rowBytes();
  }

  /** Bytes of a chunk. */
  public int bytes() {
    return 2 * valueOffset();
  }
}

package dev.kvdrive.plan;

/**
 * The summary of a chunk that is its keys, rotated, with two bits an element: the codes of each
 * token in turn, {@link #codeBytes} each, then a bf16 step for each token. All arithmetic is in
 * F32:
 *
 * <ul>
 *   <li>A key as stored is rotated by the Walsh-Hadamard transform of each {@link #rotationBlock}
 *       elements {@code x}: for {@code h} = 1, 2, 4, ... below the block, {@code x[i]} and {@code
 *       x[i + h]} of all {@code i} without bit {@code h} become their sum and their difference. A
 *       query so rotated has the product with it that it had before, times the block.
 *   <li>With {@code a} the largest absolute element of the rotated key and {@code w = 0.375 a}, the
 *       code of an element is {@code 2 + floor(x * (1 / w))}, at least 0 and at most 3, and stands
 *       for {@code (code - 1.5) * step}, where {@code step = w / block}, rounded to bf16, makes up
 *       for the product being larger. Where {@code a} is below {@link #SMALLEST_KEY} the step is 0
 *       and every code 2.
 *   <li>Element {@code i} has the bits from {@code 2 (i % 16)} on of the little-endian word {@code
 *       i / 16}; elements beyond the head are 2.
 * </ul>
 *
 * @param headDim elements of a key
 * @param chunk tokens of a chunk
 */
public record TwoBitSummary(int headDim, int chunk) {
  /** Largest absolute element from which on a rotated key has a step: its inverse is finite. */
  public static final float SMALLEST_KEY = 0x1p-100f;

  /** Elements whose codes fill a word. */
  public static final int CODES_OF_WORD = 16;

  /** Of the chunks of a layout. */
  public static TwoBitSummary of(KvLayout layout) {
    return new TwoBitSummary(layout.headDim(), layout.grid().chunk());
  }

  /** Elements that are rotated together: the largest power of two that divides the head. */
  public int rotationBlock() {
    return Integer.lowestOneBit(headDim);
  }

  /** Bytes of the codes of one token: whole words. */
  public int codeBytes() {
    return Math.ceilDiv(headDim, CODES_OF_WORD) * Integer.BYTES;
  }

  /** Offset of the steps, behind the codes of all tokens. */
  public int stepOffset() {
    return chunk * codeBytes();
  }

  /** Bytes of a summary: whole words. */
  public int bytes() {
    return Math.ceilDiv(stepOffset() + chunk * Short.BYTES, Integer.BYTES) * Integer.BYTES;
  }
}

package dev.kvdrive.plan;

/**
 * Bytes and layout of cached keys and values, the same on every device and in every tier.
 *
 * <p>A <i>chunk</i> of one (layer, KV head) is {@code K[chunk][headDim]} followed by {@code
 * V[chunk][headDim]}, both row-major, little endian. An <i>extent</i> is {@link #extentChunks}
 * consecutive chunks of one (layer, KV head): the unit of a DRAM frame and of NVMe I/O.
 *
 * <p>The <i>representative</i> of a chunk is its keys, rotated, with two bits an element: the codes
 * of each token in turn, {@link #codeBytes} each, then a bf16 step for each token. All arithmetic
 * is in F32:
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
 * @param layers transformer layers
 * @param kvHeads KV heads of a layer
 * @param headDim elements of one head's key (and value)
 * @param type element type
 * @param grid how tokens divide into sink, chunks and ring
 * @param extentChunks chunks of one extent
 */
public record KvLayout(
    int layers, int kvHeads, int headDim, KvType type, ChunkGrid grid, int extentChunks) {
  /** Logical block that O_DIRECT needs at worst; extents are a multiple of it. */
  public static final int BLOCK_BYTES = 4096;

  /** Largest absolute element from which on a rotated key has a step: its inverse is finite. */
  public static final float SMALLEST_KEY = 0x1p-100f;

  /** Elements whose codes fill a word. */
  private static final int CODES_OF_WORD = 16;

  public KvLayout {
    if (layers < 1 || kvHeads < 1 || headDim < 1 || extentChunks < 1) {
      throw new IllegalArgumentException(
          "a KV layout needs positive sizes, got layers=%d kvHeads=%d headDim=%d extentChunks=%d"
              .formatted(layers, kvHeads, headDim, extentChunks));
    }
  }

  /** Bytes of the keys (or the values) of one token of one (layer, KV head). */
  public int rowBytes() {
    return headDim * type.bytes();
  }

  /** Offset of the values inside a chunk. */
  public int valueOffset() {
    return grid.chunk() * rowBytes();
  }

  /** Bytes of one chunk of one (layer, KV head), keys and values. */
  public int chunkBytes() {
    return 2 * grid.chunk() * rowBytes();
  }

  /** Elements that are rotated together: the largest power of two that divides the head. */
  public int rotationBlock() {
    return Integer.lowestOneBit(headDim);
  }

  /** Bytes of the codes of one token in a representative: whole words. */
  public int codeBytes() {
    return Math.ceilDiv(headDim, CODES_OF_WORD) * Integer.BYTES;
  }

  /** Offset of the steps inside a representative. */
  public int stepOffset() {
    return grid.chunk() * codeBytes();
  }

  /** Bytes of the representative of one chunk of one (layer, KV head): whole words. */
  public int representativeBytes() {
    return Math.ceilDiv(stepOffset() + grid.chunk() * Short.BYTES, Integer.BYTES) * Integer.BYTES;
  }

  /** Bytes of the chunks of one extent, without padding. */
  public int extentDataBytes() {
    return extentChunks * chunkBytes();
  }

  /** Bytes one extent occupies in a DRAM frame and on NVMe: rounded up to whole blocks. */
  public int extentBytes() {
    return Math.ceilDiv(extentDataBytes(), BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** Extents of one (layer, KV head) that hold {@code chunks} chunks. */
  public int extents(int chunks) {
    return Math.ceilDiv(chunks, extentChunks);
  }

  /** Bytes that one token adds over all layers and KV heads, keys and values. */
  public long bytesPerToken() {
    return 2L * layers * kvHeads * rowBytes();
  }

  /** Bytes of sink and ring of one sequence over all layers and KV heads. */
  public long denseBytesPerSequence() {
    return bytesPerToken() * grid.denseTokens();
  }
}

package dev.kvdrive.plan;

/**
 * Bytes and layout of cached keys and values, the same on every device and in every tier.
 *
 * <p>A <i>chunk</i> of one (layer, KV head) is {@code K[chunk][headDim]} followed by {@code
 * V[chunk][headDim]}, both row-major, little endian. An <i>extent</i> is {@link #extentChunks}
 * consecutive chunks of one (layer, KV head): the unit of a DRAM frame and of NVMe I/O.
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

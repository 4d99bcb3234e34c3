package dev.kvdrive.plan;

/**
 * Bytes and layout of cached keys and values, the same on every device.
 *
 * <p>Single tokens, in sink, ring and prompts, have the type of keys and values. A <i>chunk</i> of
 * one (layer, KV head) has one form in the window and one in both tiers below it ({@link
 * ChunkLayout}). An <i>extent</i> is {@link #extentChunks} consecutive chunks of one (layer, KV
 * head) in their backing form: the unit of a DRAM frame and of NVMe I/O.
 *
 * @param layers transformer layers
 * @param kvHeads KV heads of a layer
 * @param headDim elements of one head's key (and value)
 * @param type element type of keys and values
 * @param formats of closed chunks
 * @param grid how tokens divide into sink, chunks and ring
 * @param extentChunks chunks of one extent
 */
public record KvLayout(
    int layers,
    int kvHeads,
    int headDim,
    KvType type,
    Formats formats,
    ChunkGrid grid,
    int extentChunks) {
  /** Logical block that O_DIRECT needs at worst; extents are a multiple of it. */
  public static final int BLOCK_BYTES = 4096;

  public KvLayout {
    if (layers < 1 || kvHeads < 1 || headDim < 1 || extentChunks < 1) {
      throw new IllegalArgumentException(
          "a KV layout needs positive sizes, got layers=%d kvHeads=%d headDim=%d extentChunks=%d"
              .formatted(layers, kvHeads, headDim, extentChunks));
    }
    formats.check(type);
  }

  /** With chunks that stay what was computed. */
  public KvLayout(
      int layers, int kvHeads, int headDim, KvType type, ChunkGrid grid, int extentChunks) {
    this(layers, kvHeads, headDim, type, Formats.of(type), grid, extentChunks);
  }

  /** A chunk in the window. */
  public ChunkLayout resident() {
    return new ChunkLayout(formats.resident(), headDim, grid.chunk());
  }

  /** A chunk in a frame, on NVMe and on its way into the window. */
  public ChunkLayout backing() {
    return new ChunkLayout(formats.backing(), headDim, grid.chunk());
  }

  /** Bytes of the keys (or the values) of one token of one (layer, KV head). */
  public int rowBytes() {
    return headDim * type.bytes();
  }

  /** Bytes of the chunks of one extent, without padding. */
  public int extentDataBytes() {
    return extentChunks * backing().bytes();
  }

  /** Bytes one extent occupies in a DRAM frame and on NVMe: rounded up to whole blocks. */
  public int extentBytes() {
    return Math.ceilDiv(extentDataBytes(), BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** (Layer, KV head) pairs. */
  public long heads() {
    return (long) layers * kvHeads;
  }

  /** Extents of one (layer, KV head) that hold {@code chunks} chunks. */
  public int extents(int chunks) {
    return Math.ceilDiv(chunks, extentChunks);
  }

  /** Bytes of one token in sink, ring or prompt over all layers and KV heads, keys and values. */
  public long bytesPerToken() {
    return 2L * layers * kvHeads * rowBytes();
  }

  /** Bytes that {@code tokens} tokens of closed chunks take in DRAM or on NVMe. */
  public long backingBytes(long tokens) {
    return Math.ceilDiv((long) layers * kvHeads * backing().bytes() * tokens, grid.chunk());
  }

  /** Bytes of {@code tokens} tokens of closed chunks in the window. */
  public long residentBytes(long tokens) {
    return Math.ceilDiv((long) layers * kvHeads * resident().bytes() * tokens, grid.chunk());
  }

  /** Bytes of sink and ring of one sequence over all layers and KV heads. */
  public long denseBytesPerSequence() {
    return bytesPerToken() * grid.denseTokens();
  }
}

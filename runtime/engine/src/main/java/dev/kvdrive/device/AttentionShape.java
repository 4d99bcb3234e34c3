package dev.kvdrive.device;

/**
 * Sizes of one attention layer.
 *
 * @param heads query heads; query head {@code h} reads KV head {@code h / (heads / kvHeads)}
 * @param kvHeads KV heads
 * @param headDim elements of a head
 * @param scale factor on query-key products
 */
public record AttentionShape(int heads, int kvHeads, int headDim, float scale) {
  public AttentionShape {
    if (heads < 1 || kvHeads < 1 || headDim < 1 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "attention of %d query heads over %d KV heads of %d elements is not a shape"
              .formatted(heads, kvHeads, headDim));
    }
  }

  /** Query heads that share one KV head. */
  public int groupSize() {
    return heads / kvHeads;
  }
}

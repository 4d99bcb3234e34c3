package dev.kvdrive.plan;

/**
 * The sizes of a transformer that a plan depends on, whatever file they were read from.
 *
 * @param name for messages, for instance {@code kvdrive-tiny-32k}
 * @param layers transformer layers
 * @param hidden width of the residual stream
 * @param heads query heads
 * @param kvHeads KV heads; divides {@code heads}
 * @param headDim elements of a head
 * @param feedForward width of the MLP's inner layer
 * @param vocabulary rows of the embedding
 * @param maxContext tokens the model was trained for
 * @param weightBytes bytes of all weights as the device holds them
 */
public record ModelGeometry(
    String name,
    int layers,
    int hidden,
    int heads,
    int kvHeads,
    int headDim,
    int feedForward,
    int vocabulary,
    int maxContext,
    long weightBytes) {
  public ModelGeometry {
    if (layers < 1
        || hidden < 1
        || heads < 1
        || kvHeads < 1
        || headDim < 1
        || feedForward < 1
        || vocabulary < 1
        || maxContext < 1
        || weightBytes < 0) {
      throw new IllegalArgumentException("model geometry has a size that is not positive: " + name);
    }
    if (heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "model %s has %d query heads, which %d KV heads do not divide"
              .formatted(name, heads, kvHeads));
    }
  }

  /** Query heads that share one KV head. */
  public int groupSize() {
    return heads / kvHeads;
  }

  /** The KV layout of this model for a type, a grid and an extent size. */
  public KvLayout kvLayout(KvType type, ChunkGrid grid, int extentChunks) {
    return new KvLayout(layers, kvHeads, headDim, type, grid, extentChunks);
  }
}

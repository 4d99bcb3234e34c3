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
  // Far beyond any model, and small enough that no sum of a plan overflows.
  public static final int MAX_LAYERS = 4096;
  public static final int MAX_HIDDEN = 1 << 17;
  public static final int MAX_HEADS = 4096;
  public static final int MAX_HEAD_DIM = 4096;
  public static final int MAX_FEED_FORWARD = 1 << 20;
  public static final int MAX_VOCABULARY = 1 << 22;
  public static final int MAX_CONTEXT = 1 << 26;
  public static final long MAX_WEIGHT_BYTES = 1L << 50;

  public ModelGeometry {
    within(name, "layers", layers, 1, MAX_LAYERS);
    within(name, "hidden", hidden, 1, MAX_HIDDEN);
    within(name, "heads", heads, 1, MAX_HEADS);
    within(name, "kvHeads", kvHeads, 1, MAX_HEADS);
    within(name, "headDim", headDim, 1, MAX_HEAD_DIM);
    within(name, "feedForward", feedForward, 1, MAX_FEED_FORWARD);
    within(name, "vocabulary", vocabulary, 1, MAX_VOCABULARY);
    within(name, "maxContext", maxContext, 1, MAX_CONTEXT);
    within(name, "bytes of weights", weightBytes, 0, MAX_WEIGHT_BYTES);
    if (heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "model %s has %d query heads, which %d KV heads do not divide"
              .formatted(name, heads, kvHeads));
    }
  }

  private static void within(String model, String what, long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          "model %s has %,d %s; a plan is possible for %,d to %,d"
              .formatted(model, value, what, least, most));
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

package dev.kvdrive.plan;

import org.jspecify.annotations.Nullable;

/**
 * The sizes of a transformer that a plan depends on, whatever file they were read from.
 *
 * @param name for messages, for instance {@code kvdrive-tiny-32k}
 * @param shape its sizes
 * @param maxContext tokens the model can serve
 * @param weightBytes bytes of all weights as they are stored
 * @param matrixElements elements of all matrices; a tied output counts once
 * @param vectorElements elements of all vectors: norms and biases
 * @param packed what a GPU keeps packed of the matrices
 * @param limit what {@code maxContext} is
 * @param calibrated whether a calibration of its index comes with the weights
 */
public record ModelGeometry(
    String name,
    ModelShape shape,
    int maxContext,
    long weightBytes,
    long matrixElements,
    long vectorElements,
    PackedWeights packed,
    ContextLimit limit,
    boolean calibrated)
    implements ModelShape.Of {
  // Far beyond any model, and small enough that no sum of a plan overflows.
  public static final int MAX_LAYERS = 4096;
  public static final int MAX_HIDDEN = 1 << 17;
  public static final int MAX_HEADS = 4096;
  public static final int MAX_HEAD_DIM = 4096;
  public static final int MAX_FEED_FORWARD = 1 << 20;
  public static final int MAX_VOCABULARY = 1 << 22;
  public static final int MAX_CONTEXT = 1 << 26;
  public static final long MAX_WEIGHT_BYTES = 1L << 50;
  public static final long MAX_ELEMENTS = 1L << 57;

  public ModelGeometry {
    within(name, "layers", shape.layers(), 1, MAX_LAYERS);
    within(name, "hidden", shape.hidden(), 1, MAX_HIDDEN);
    within(name, "heads", shape.heads(), 1, MAX_HEADS);
    within(name, "kvHeads", shape.kvHeads(), 1, MAX_HEADS);
    within(name, "headDim", shape.headDim(), 1, MAX_HEAD_DIM);
    within(name, "feedForward", shape.feedForward(), 1, MAX_FEED_FORWARD);
    within(name, "vocabulary", shape.vocabulary(), 1, MAX_VOCABULARY);
    within(name, "maxContext", maxContext, 1, MAX_CONTEXT);
    within(name, "bytes of weights", weightBytes, 0, MAX_WEIGHT_BYTES);
    within(name, "elements of matrices", matrixElements, 0, MAX_ELEMENTS);
    within(name, "elements of vectors", vectorElements, 0, MAX_ELEMENTS);
    within(name, "elements of packed matrices", packed.elements(), 0, matrixElements);
    if (shape.heads() % shape.kvHeads() != 0) {
      throw new IllegalArgumentException(
          "model %s has %d query heads, which %d KV heads do not divide"
              .formatted(name, shape.heads(), shape.kvHeads()));
    }
  }

  /** Of a model whose context is what it was trained for. */
  public ModelGeometry(
      String name,
      ModelShape shape,
      int maxContext,
      long weightBytes,
      long matrixElements,
      long vectorElements) {
    this(
        name,
        shape,
        maxContext,
        weightBytes,
        matrixElements,
        vectorElements,
        PackedWeights.NONE,
        ContextLimit.TRAINED,
        false);
  }

  /**
   * Of a model of which only the shape and the size of its files are known, and whose context is
   * what it was trained for.
   */
  public ModelGeometry(String name, ModelShape shape, int maxContext, long weightBytes) {
    this(name, shape, maxContext, weightBytes, ContextLimit.TRAINED);
  }

  /**
   * Of a model of which only the shape and the size of its files are known. Its elements are
   * counted as if it had all that a supported architecture may have (an output of its own, biases,
   * head norms), so that a plan asks for too much memory rather than for too little.
   *
   * @param limit what {@code maxContext} is
   */
  public ModelGeometry(
      String name, ModelShape shape, int maxContext, long weightBytes, ContextLimit limit) {
    this(
        name,
        shape,
        maxContext,
        weightBytes,
        mostMatrixElements(shape),
        mostVectorElements(shape),
        PackedWeights.NONE,
        limit,
        false);
  }

  /** The same model, of which a GPU holds all weights in so many bytes. */
  public ModelGeometry packedIn(long gpuBytes) {
    long vectors = Float.BYTES * vectorElements;
    return new ModelGeometry(
        name,
        shape,
        maxContext,
        weightBytes,
        matrixElements,
        vectorElements,
        new PackedWeights(matrixElements, Math.max(0, gpuBytes - vectors)),
        limit,
        calibrated);
  }

  private static long mostMatrixElements(ModelShape s) {
    long attention = 2L * s.hidden() * (s.heads() + s.kvHeads()) * s.headDim();
    long mlp = 3L * s.hidden() * s.feedForward();
    return 2L * s.vocabulary() * s.hidden() + s.layers() * (attention + mlp);
  }

  private static long mostVectorElements(ModelShape s) {
    long biases = (s.heads() + 2L * s.kvHeads()) * s.headDim();
    return s.hidden() + s.layers() * (3L * s.hidden() + biases + 2L * s.headDim());
  }

  private static void within(String model, String what, long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          "model %s has %,d %s; a plan is possible for %,d to %,d"
              .formatted(model, value, what, least, most));
    }
  }

  /**
   * The same model with its context extended.
   *
   * @param scaling null leaves it as it is
   * @throws IllegalArgumentException if the context cannot be extended, or is not by this
   */
  public ModelGeometry extended(@Nullable RopeScaling scaling) {
    if (scaling == null) {
      return this;
    }
    return new ModelGeometry(
        name,
        shape,
        scaling.context(name, maxContext, limit),
        weightBytes,
        matrixElements,
        vectorElements,
        packed,
        ContextLimit.EXTENDED,
        calibrated);
  }

  /** The same model, with a calibration of its index or without. */
  public ModelGeometry calibrated(boolean comes) {
    return new ModelGeometry(
        name, shape, maxContext, weightBytes, matrixElements, vectorElements, packed, limit, comes);
  }

  /**
   * Why it cannot serve {@code context} tokens, which are more than its own, and whether rope
   * scaling would help: a sentence.
   */
  public String tooShortFor(int context) {
    if (limit.extendable()) {
      return ("The model was trained for %,d %s of context, %,d were asked for. Rope scaling"
              + " can extend it, if the model's card allows that: yarn with a factor of %d.")
          .formatted(
              maxContext,
              maxContext == 1 ? "token" : "tokens",
              context,
              Math.ceilDiv(context, maxContext));
    }
    return "The model serves %,d of the %,d tokens of context that were asked for: %s."
        .formatted(maxContext, context, limit.words());
  }

  /** Bytes of all weights as a device holds them: {@link WeightFormat}. */
  public long weightBytes(DeviceKind device) {
    return switch (device) {
      case CPU -> weightBytes;
      case CUDA ->
          Short.BYTES * (matrixElements - packed.elements())
              + packed.bytes()
              + Float.BYTES * vectorElements;
    };
  }

  /** Query heads that share one KV head. */
  public int groupSize() {
    return heads() / kvHeads();
  }

  /** The KV layout of this model for a type, formats of chunks, a grid and an extent size. */
  public KvLayout kvLayout(KvType type, Formats formats, ChunkGrid grid, int extentChunks) {
    return new KvLayout(layers(), kvHeads(), headDim(), type, formats, grid, extentChunks);
  }

  /** With chunks that stay what was computed. */
  public KvLayout kvLayout(KvType type, ChunkGrid grid, int extentChunks) {
    return kvLayout(type, Formats.of(type), grid, extentChunks);
  }
}

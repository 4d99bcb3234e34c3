package dev.kvdrive.model;

import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.ModelShape;
import java.util.Set;

/**
 * What the engine must know about a decoder-only transformer besides its weights: blocks with RMS
 * norm (before or after, as their {@link LayerTensors} say), grouped-query attention and a
 * SiLU-gated MLP, which covers every supported family.
 *
 * @param architecture family, for instance {@code llama}, {@code qwen3}, {@code phi3}
 * @param name model name, for messages
 * @param shape its sizes
 * @param maxContext tokens the model can serve
 * @param rmsEpsilon epsilon of every RMS norm
 * @param attentionScale factor on query-key products, usually {@code 1/sqrt(headDim)}
 * @param rope rotary embedding
 * @param unrotatedLayers layers whose queries and keys are not rotated (SmolLM3)
 * @param multipliers constant factors of the forward pass (Granite)
 */
public record TransformerSpec(
    String architecture,
    String name,
    ModelShape shape,
    int maxContext,
    float rmsEpsilon,
    float attentionScale,
    RopeSpec rope,
    Set<Integer> unrotatedLayers,
    Multipliers multipliers)
    implements ModelShape.Of {
  public TransformerSpec {
    unrotatedLayers = Set.copyOf(unrotatedLayers);
  }

  /**
   * Constant factors of a forward pass.
   *
   * @param embedding on embedded tokens
   * @param residual on what attention and MLP add to the residual stream; not 0
   * @param logits on logits
   */
  public record Multipliers(float embedding, float residual, float logits) {
    /** Of most models. */
    public static final Multipliers NONE = new Multipliers(1, 1, 1);
  }

  /** As above, every layer rotated and without multipliers. */
  public TransformerSpec(
      String architecture,
      String name,
      ModelShape shape,
      int maxContext,
      float rmsEpsilon,
      float attentionScale,
      RopeSpec rope) {
    this(
        architecture,
        name,
        shape,
        maxContext,
        rmsEpsilon,
        attentionScale,
        rope,
        Set.of(),
        Multipliers.NONE);
  }
}

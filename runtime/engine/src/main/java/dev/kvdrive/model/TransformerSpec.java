package dev.kvdrive.model;

import dev.kvdrive.device.RopeSpec;

/**
 * What the engine must know about a decoder-only transformer besides its weights. Pre-norm blocks
 * with RMS norm, grouped-query attention and a SiLU-gated MLP, which covers every supported family.
 *
 * @param architecture family, for instance {@code llama}, {@code qwen3}, {@code phi3}
 * @param name model name, for messages
 * @param layers transformer layers
 * @param hidden width of the residual stream
 * @param heads query heads
 * @param kvHeads KV heads
 * @param headDim elements of a head
 * @param feedForward inner width of the MLP
 * @param vocabulary rows of the embedding
 * @param maxContext tokens the model was trained for
 * @param rmsEpsilon epsilon of every RMS norm
 * @param attentionScale factor on query-key products, usually {@code 1/sqrt(headDim)}
 * @param rope rotary embedding
 */
public record TransformerSpec(
    String architecture,
    String name,
    int layers,
    int hidden,
    int heads,
    int kvHeads,
    int headDim,
    int feedForward,
    int vocabulary,
    int maxContext,
    float rmsEpsilon,
    float attentionScale,
    RopeSpec rope) {}

package dev.kvdrive.model;

import dev.kvdrive.model.tensor.TensorData;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Weights of one transformer layer; fused projections are already sliced. Matrices are {@code
 * [out][in]}, vectors one row. What attention or MLP reads is normed before ({@code attentionNorm},
 * {@code mlpNorm}: most families), or what it adds is normed after ({@code attentionPostNorm},
 * {@code mlpPostNorm}: OLMo 2).
 *
 * @param attentionNorm {@code [hidden]} or null
 * @param query {@code [heads*headDim][hidden]}
 * @param key {@code [kvHeads*headDim][hidden]}
 * @param value {@code [kvHeads*headDim][hidden]}
 * @param output {@code [hidden][heads*headDim]}
 * @param queryBias {@code [heads*headDim]} (Qwen2) or null
 * @param keyBias {@code [kvHeads*headDim]} or null
 * @param valueBias {@code [kvHeads*headDim]} or null
 * @param outputBias {@code [hidden]} or null
 * @param queryNorm RMS norm before rotation, or null: {@code [headDim]}, of each head on its own
 *     (Qwen3), or {@code [heads*headDim]}, of all of them as one (OLMo 2)
 * @param keyNorm {@code [headDim]} or {@code [kvHeads*headDim]} or null
 * @param attentionPostNorm {@code [hidden]} or null
 * @param mlpNorm {@code [hidden]} or null
 * @param gate {@code [feedForward][hidden]}
 * @param up {@code [feedForward][hidden]}
 * @param down {@code [hidden][feedForward]}
 * @param mlpPostNorm {@code [hidden]} or null
 */
public record LayerTensors(
    @Nullable TensorData attentionNorm,
    TensorData query,
    TensorData key,
    TensorData value,
    TensorData output,
    @Nullable TensorData queryBias,
    @Nullable TensorData keyBias,
    @Nullable TensorData valueBias,
    @Nullable TensorData outputBias,
    @Nullable TensorData queryNorm,
    @Nullable TensorData keyNorm,
    @Nullable TensorData attentionPostNorm,
    @Nullable TensorData mlpNorm,
    TensorData gate,
    TensorData up,
    TensorData down,
    @Nullable TensorData mlpPostNorm) {
  /** All tensors that are there. */
  public Stream<TensorData> all() {
    return Stream.of(
            attentionNorm,
            query,
            key,
            value,
            output,
            queryBias,
            keyBias,
            valueBias,
            outputBias,
            queryNorm,
            keyNorm,
            attentionPostNorm,
            mlpNorm,
            gate,
            up,
            down,
            mlpPostNorm)
        .filter(Objects::nonNull);
  }
}

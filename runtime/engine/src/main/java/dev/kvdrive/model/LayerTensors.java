package dev.kvdrive.model;

import dev.kvdrive.device.TensorData;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Weights of one transformer layer; fused projections are already sliced. Matrices are {@code
 * [out][in]}, vectors one row.
 *
 * @param attentionNorm {@code [hidden]}
 * @param query {@code [heads*headDim][hidden]}
 * @param key {@code [kvHeads*headDim][hidden]}
 * @param value {@code [kvHeads*headDim][hidden]}
 * @param output {@code [hidden][heads*headDim]}
 * @param queryBias {@code [heads*headDim]} (Qwen2) or null
 * @param keyBias {@code [kvHeads*headDim]} or null
 * @param valueBias {@code [kvHeads*headDim]} or null
 * @param queryNorm {@code [headDim]}, per-head RMS norm before rotation (Qwen3), or null
 * @param keyNorm {@code [headDim]} or null
 * @param mlpNorm {@code [hidden]}
 * @param gate {@code [feedForward][hidden]}
 * @param up {@code [feedForward][hidden]}
 * @param down {@code [hidden][feedForward]}
 */
public record LayerTensors(
    TensorData attentionNorm,
    TensorData query,
    TensorData key,
    TensorData value,
    TensorData output,
    @Nullable TensorData queryBias,
    @Nullable TensorData keyBias,
    @Nullable TensorData valueBias,
    @Nullable TensorData queryNorm,
    @Nullable TensorData keyNorm,
    TensorData mlpNorm,
    TensorData gate,
    TensorData up,
    TensorData down) {
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
            queryNorm,
            keyNorm,
            mlpNorm,
            gate,
            up,
            down)
        .filter(Objects::nonNull);
  }
}

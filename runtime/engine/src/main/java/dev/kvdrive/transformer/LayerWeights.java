package dev.kvdrive.transformer;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.tensor.TensorData;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Weights of one layer on a device. Projections of the same input are stacked, so that each is one
 * matrix product.
 *
 * @param attentionNorm {@code [hidden]} or null
 * @param queryKeyValue {@code [(heads + 2*kvHeads)*headDim][hidden]}: queries, keys, values
 * @param queryBias {@code [heads*headDim]} or null
 * @param keyBias {@code [kvHeads*headDim]} or null
 * @param valueBias {@code [kvHeads*headDim]} or null
 * @param queryNorm {@code [headDim]}, {@code [heads*headDim]} or null
 * @param keyNorm {@code [headDim]}, {@code [kvHeads*headDim]} or null
 * @param output {@code [hidden][heads*headDim]}
 * @param outputBias {@code [hidden]} or null
 * @param attentionPostNorm {@code [hidden]} or null
 * @param mlpNorm {@code [hidden]} or null
 * @param gateUp {@code [2*feedForward][hidden]}: gate, up
 * @param down {@code [hidden][feedForward]}
 * @param mlpPostNorm {@code [hidden]} or null
 */
record LayerWeights(
    @Nullable Weight attentionNorm,
    Weight queryKeyValue,
    @Nullable Weight queryBias,
    @Nullable Weight keyBias,
    @Nullable Weight valueBias,
    @Nullable Weight queryNorm,
    @Nullable Weight keyNorm,
    Weight output,
    @Nullable Weight outputBias,
    @Nullable Weight attentionPostNorm,
    @Nullable Weight mlpNorm,
    Weight gateUp,
    Weight down,
    @Nullable Weight mlpPostNorm) {

  static LayerWeights load(Device device, LayerTensors layer, List<Weight> loaded) {
    return new LayerWeights(
        loadOptional(device, loaded, layer.attentionNorm()),
        load(device, loaded, layer.query(), layer.key(), layer.value()),
        loadOptional(device, loaded, layer.queryBias()),
        loadOptional(device, loaded, layer.keyBias()),
        loadOptional(device, loaded, layer.valueBias()),
        loadOptional(device, loaded, layer.queryNorm()),
        loadOptional(device, loaded, layer.keyNorm()),
        load(device, loaded, layer.output()),
        loadOptional(device, loaded, layer.outputBias()),
        loadOptional(device, loaded, layer.attentionPostNorm()),
        loadOptional(device, loaded, layer.mlpNorm()),
        load(device, loaded, layer.gate(), layer.up()),
        load(device, loaded, layer.down()),
        loadOptional(device, loaded, layer.mlpPostNorm()));
  }

  /** Loads the stacked parts and notes the weight in {@code loaded}, which owns it from then on. */
  static Weight load(Device device, List<Weight> loaded, TensorData... parts) {
    Weight weight = device.load(parts[0].name(), List.of(parts));
    loaded.add(weight);
    return weight;
  }

  private static @Nullable Weight loadOptional(
      Device device, List<Weight> loaded, @Nullable TensorData part) {
    return part == null ? null : load(device, loaded, part);
  }
}

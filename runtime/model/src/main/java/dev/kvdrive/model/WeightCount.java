package dev.kvdrive.model;

import dev.kvdrive.model.file.TensorEntry;
import java.util.stream.Stream;

/**
 * What a model's weights amount to.
 *
 * @param bytes as they are stored
 * @param matrixElements elements of what has several rows
 * @param vectorElements elements of what has one row
 */
record WeightCount(long bytes, long matrixElements, long vectorElements) {
  private static final WeightCount NOTHING = new WeightCount(0, 0, 0);

  /** Of tensors that are all weights. */
  static WeightCount of(Stream<TensorEntry> tensors) {
    return tensors.map(WeightCount::of).reduce(NOTHING, WeightCount::plus);
  }

  private static WeightCount of(TensorEntry tensor) {
    long elements = tensor.shape().stream().reduce(1L, Math::multiplyExact);
    boolean vector = tensor.shape().size() == 1 || tensor.shape().getFirst() == 1;
    return new WeightCount(tensor.bytes(), vector ? 0 : elements, vector ? elements : 0);
  }

  private WeightCount plus(WeightCount other) {
    return new WeightCount(
        bytes + other.bytes,
        matrixElements + other.matrixElements,
        vectorElements + other.vectorElements);
  }
}

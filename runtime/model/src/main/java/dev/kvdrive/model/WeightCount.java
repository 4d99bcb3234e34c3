package dev.kvdrive.model;

import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.plan.PackedWeights;
import dev.kvdrive.plan.WeightFormat;
import java.util.stream.Stream;

/**
 * What a model's weights amount to.
 *
 * @param bytes as they are stored
 * @param matrixElements elements of what has several rows
 * @param vectorElements elements of what has one row
 * @param packed what a GPU keeps packed of the matrices
 */
record WeightCount(long bytes, long matrixElements, long vectorElements, PackedWeights packed) {
  private static final WeightCount NOTHING = new WeightCount(0, 0, 0, PackedWeights.NONE);

  /** Of tensors that are all weights. */
  static WeightCount of(Stream<TensorEntry> tensors) {
    return tensors.map(WeightCount::of).reduce(NOTHING, WeightCount::plus);
  }

  private static WeightCount of(TensorEntry tensor) {
    long elements = tensor.shape().stream().reduce(1L, Math::multiplyExact);
    long rows = tensor.shape().size() == 1 ? 1 : tensor.shape().getFirst();
    if (rows == 1) {
      return new WeightCount(tensor.bytes(), 0, elements, PackedWeights.NONE);
    }
    return new WeightCount(tensor.bytes(), elements, 0, packed(tensor, rows, elements));
  }

  private static PackedWeights packed(TensorEntry tensor, long rows, long elements) {
    if (tensor.type() == null) {
      return PackedWeights.NONE; // refused when it is read
    }
    WeightFormat format = WeightFormat.of(tensor.type().name(), rows);
    return format.packed()
        ? new PackedWeights(elements, format.bytes(rows, elements / rows))
        : PackedWeights.NONE;
  }

  private WeightCount plus(WeightCount other) {
    return new WeightCount(
        bytes + other.bytes,
        matrixElements + other.matrixElements,
        vectorElements + other.vectorElements,
        packed.plus(other.packed));
  }
}

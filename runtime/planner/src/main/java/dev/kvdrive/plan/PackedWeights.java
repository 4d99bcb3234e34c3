package dev.kvdrive.plan;

/**
 * What a GPU keeps of a model's matrices as whole numbers with a step for each block ({@link
 * WeightFormat#packed}).
 *
 * @param elements of these matrices
 * @param bytes that they take on a GPU
 */
public record PackedWeights(long elements, long bytes) {
  public static final PackedWeights NONE = new PackedWeights(0, 0);

  public PackedWeights {
    if (elements < 0 || bytes < 0 || bytes > ModelGeometry.MAX_WEIGHT_BYTES) {
      throw new IllegalArgumentException(
          "%,d elements of weights cannot be packed in %,d bytes".formatted(elements, bytes));
    }
  }

  public PackedWeights plus(PackedWeights other) {
    return new PackedWeights(elements + other.elements, bytes + other.bytes);
  }

  /** Whether there are none. */
  public boolean none() {
    return elements == 0;
  }
}

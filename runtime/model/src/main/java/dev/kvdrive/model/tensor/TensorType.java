package dev.kvdrive.model.tensor;

/**
 * Storage types of weights. A row of a matrix is a whole number of blocks; block layouts are those
 * of the GGUF specification (little endian).
 */
public enum TensorType {
  F32(1, 4),
  F16(1, 2),
  BF16(1, 2),
  Q8_0(32, 34),
  Q4_0(32, 18),
  Q4_1(32, 20),
  Q5_0(32, 22),
  Q5_1(32, 24),
  Q4_K(256, 144),
  Q5_K(256, 176),
  Q6_K(256, 210),
  Q2_K(256, 84),
  Q3_K(256, 110),
  IQ4_NL(32, 18),
  IQ4_XS(256, 136),
  MXFP4(32, 17);

  private final int blockElements;
  private final int blockBytes;

  TensorType(int blockElements, int blockBytes) {
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
  }

  /** Elements of one block. */
  public int blockElements() {
    return blockElements;
  }

  /** Bytes of one block. */
  public int blockBytes() {
    return blockBytes;
  }

  /**
   * Bytes of {@code elements} consecutive elements.
   *
   * @throws IllegalArgumentException if they are not a whole number of blocks
   */
  public long bytes(long elements) {
    if (elements % blockElements != 0) {
      throw new IllegalArgumentException(
          "%d elements are not a whole number of %s blocks of %d"
              .formatted(elements, this, blockElements));
    }
    return elements / blockElements * blockBytes;
  }
}

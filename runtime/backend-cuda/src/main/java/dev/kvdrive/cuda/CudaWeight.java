package dev.kvdrive.cuda;

import dev.kvdrive.device.Weight;

/**
 * A weight, row-major without gaps: a matrix in bf16, a vector (one row) in F32.
 *
 * @param memory its memory
 */
record CudaWeight(String name, int rows, int cols, CudaBuffer memory) implements Weight {
  /** Bytes of one element of a weight of {@code rows} rows. */
  static int elementBytes(int rows) {
    return rows == 1 ? Float.BYTES : Short.BYTES;
  }

  int elementBytes() {
    return elementBytes(rows);
  }

  @Override
  public long bytes() {
    return memory.bytes();
  }

  @Override
  public void close() {
    memory.close();
  }
}

package dev.kvdrive.bench.token;

import dev.kvdrive.device.Bfloat16;

/**
 * Rows of bf16 elements.
 *
 * @param elements {@code [count][width]}, from row {@code first} on
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record Rows(short[] elements, int first, int count, int width) {
  /** Element {@code i} of row {@code row}. */
  public float at(int row, int i) {
    return Bfloat16.widen(elements[(first + row) * width + i]);
  }

  /** A row as floats. */
  public float[] row(int row) {
    float[] out = new float[width];
    for (int i = 0; i < width; i++) {
      out[i] = at(row, i);
    }
    return out;
  }

  /** The product of a row with a query. */
  public float product(int row, float[] query) {
    float sum = 0;
    for (int i = 0; i < width; i++) {
      sum += at(row, i) * query[i];
    }
    return sum;
  }
}

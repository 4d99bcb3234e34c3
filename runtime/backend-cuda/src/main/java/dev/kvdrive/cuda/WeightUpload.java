package dev.kvdrive.cuda;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * Brings a tensor to the device in the element type it is computed with. What is stored in that
 * type is copied as it is; the rest goes through a staging block, whose rows are converted in
 * parallel.
 */
final class WeightUpload {
  private static final long STAGING_BYTES = 16L << 20;

  private final TensorData tensor;
  private final int elementBytes;

  /**
   * @param elementBytes of the weight on the device: 2 for bf16, 4 for F32
   */
  WeightUpload(TensorData tensor, int elementBytes) {
    this.tensor = tensor;
    this.elementBytes = elementBytes;
  }

  /**
   * Uploads and waits.
   *
   * @param driver of the device
   * @param address where the first row goes on the device
   * @return the address behind the last row
   */
  long to(Driver driver, long address) {
    TensorType same = elementBytes == Short.BYTES ? TensorType.BF16 : TensorType.F32;
    long rowBytes = (long) tensor.cols() * elementBytes;
    long end = address + tensor.rows() * rowBytes;
    Driver.Stream stream = driver.createStream();
    try {
      if (tensor.type() == same) {
        driver.upload(tensor.data().address(), address, tensor.bytes(), stream);
        driver.synchronize(stream);
        return end;
      }
      int block = Math.clamp(STAGING_BYTES / rowBytes, 1, tensor.rows());
      try (Arena arena = Arena.ofShared()) {
        MemorySegment staging = arena.allocate(block * rowBytes, Long.BYTES);
        for (int from = 0; from < tensor.rows(); from += block) {
          int rows = Math.min(block, tensor.rows() - from);
          convert(from, rows, staging);
          driver.upload(staging.address(), address + from * rowBytes, rows * rowBytes, stream);
          driver.synchronize(stream);
        }
      }
      return end;
    } finally {
      driver.destroy(stream);
    }
  }

  /** Rows {@code [from, from + rows)} to the start of {@code staging}. */
  void convert(int from, int rows, MemorySegment staging) {
    int cols = tensor.cols();
    IntStream.range(0, rows)
        .parallel()
        .forEach(
            row -> {
              float[] values = new float[cols];
              Dequantizer.row(tensor, from + row, values, 0);
              long at = (long) row * cols;
              for (int i = 0; i < cols; i++) {
                if (elementBytes == Short.BYTES) {
                  staging.setAtIndex(ValueLayout.JAVA_SHORT, at + i, Bfloat16.round(values[i]));
                } else {
                  staging.setAtIndex(ValueLayout.JAVA_FLOAT, at + i, values[i]);
                }
              }
            });
  }
}

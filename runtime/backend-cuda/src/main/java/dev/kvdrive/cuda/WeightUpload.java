package dev.kvdrive.cuda;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.WeightFormat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Brings rows of tensors to the device in the format that they are held in. What is stored as it is
 * computed with is copied as it is; the rest goes through a staging block, whose rows are
 * converted, or whose tiles are put together, in parallel.
 */
final class WeightUpload {
  private static final long STAGING_BYTES = 16L << 20;

  private final Driver driver;
  private final Driver.Stream stream;

  private WeightUpload(Driver driver, Driver.Stream stream) {
    this.driver = driver;
    this.stream = stream;
  }

  /**
   * Uploads and waits.
   *
   * @param parts which lie one below the other
   * @param format of all of them on the device
   * @param address where the first row goes on the device
   */
  static void of(List<TensorData> parts, WeightFormat format, Driver driver, long address) {
    Driver.Stream stream = driver.createStream(false);
    try {
      new WeightUpload(driver, stream).upload(parts, format, address);
    } finally {
      driver.destroy(stream);
    }
  }

  private void upload(List<TensorData> parts, WeightFormat format, long address) {
    if (format.packed()) {
      PackedTiles tiles = new PackedTiles(format, parts);
      staged(tiles.count(), tiles.bytes(), address, tiles::write);
      return;
    }
    TensorType same = format == WeightFormat.BF16 ? TensorType.BF16 : TensorType.F32;
    long at = address;
    for (TensorData part : parts) {
      long rowBytes = format.bytes(1, part.cols());
      if (part.type() == same) {
        driver.upload(part.data().address(), at, part.bytes(), stream);
        driver.synchronize(stream);
      } else {
        staged(
            part.rows(), rowBytes, at, (first, rows, to) -> convert(part, format, first, rows, to));
      }
      at += part.rows() * rowBytes;
    }
  }

  /** Writes the pieces {@code [first, first + count)} to the start of a segment. */
  private interface Pieces {
    void write(int first, int count, MemorySegment to);
  }

  private void staged(int count, long bytes, long address, Pieces pieces) {
    int block = Math.clamp(STAGING_BYTES / bytes, 1, count);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment staging = arena.allocate(block * bytes, Long.BYTES);
      for (int first = 0; first < count; first += block) {
        int some = Math.min(block, count - first);
        pieces.write(first, some, staging);
        driver.upload(staging.address(), address + first * bytes, some * bytes, stream);
        driver.synchronize(stream);
      }
    }
  }

  /** Rows {@code [from, from + rows)} of a tensor to the start of {@code to}, in F32 or bf16. */
  static void convert(
      TensorData tensor, WeightFormat format, int from, int rows, MemorySegment to) {
    int cols = tensor.cols();
    IntStream.range(0, rows)
        .parallel()
        .forEach(
            row -> {
              float[] values = new float[cols];
              Dequantizer.row(tensor, from + row, values, 0);
              long at = (long) row * cols;
              for (int i = 0; i < cols; i++) {
                if (format == WeightFormat.BF16) {
                  to.setAtIndex(ValueLayout.JAVA_SHORT, at + i, Bfloat16.round(values[i]));
                } else {
                  to.setAtIndex(ValueLayout.JAVA_FLOAT, at + i, values[i]);
                }
              }
            });
  }
}

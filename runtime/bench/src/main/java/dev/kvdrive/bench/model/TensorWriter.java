package dev.kvdrive.bench.model;

import dev.kvdrive.device.Bfloat16;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;

/** Encodes tensors row by row into a file. */
final class TensorWriter {
  private static final int BLOCK = 32;

  private TensorWriter() {}

  static void write(WritableByteChannel out, TensorSource tensor) throws IOException {
    float[] row = new float[tensor.cols()];
    ByteBuffer bytes =
        ByteBuffer.allocateDirect((int) tensor.type().bytes(tensor.cols()))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int r = 0; r < tensor.rowCount(); r++) {
      tensor.rows().row(r, row);
      bytes.clear();
      switch (tensor.type()) {
        case F32 -> {
          for (float value : row) {
            bytes.putFloat(value);
          }
        }
        case BF16 -> {
          for (float value : row) {
            bytes.putShort(Bfloat16.round(value));
          }
        }
        case Q8_0 -> {
          for (int from = 0; from < row.length; from += BLOCK) {
            q8(row, from, bytes);
          }
        }
        default -> throw new IllegalArgumentException("cannot write " + tensor.type());
      }
      bytes.flip();
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
    }
  }

  /** One block: a half-precision scale, then 32 signed bytes. */
  private static void q8(float[] values, int from, ByteBuffer out) {
    float largest = 0;
    for (int i = 0; i < BLOCK; i++) {
      largest = Math.max(largest, Math.abs(values[from + i]));
    }
    float scale = largest / Byte.MAX_VALUE;
    out.putShort(Float.floatToFloat16(scale));
    for (int i = 0; i < BLOCK; i++) {
      out.put((byte) (scale == 0 ? 0 : Math.round(values[from + i] / scale)));
    }
  }
}

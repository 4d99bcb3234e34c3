package dev.kvdrive.device;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.SplittableRandom;

/**
 * A weight matrix in its storage type.
 *
 * @param type storage type
 * @param data rows of blocks, row-major
 */
@SuppressWarnings("ArrayRecordComponent") // test data, never written
record Blocks(TensorType type, int rows, int cols, byte[] data) {
  /** F32. */
  static Blocks of(int rows, int cols, float[] values) {
    return new Blocks(TensorType.F32, rows, cols, Rig.bytes(values, ElementType.F32));
  }

  /** Random blocks of a type whose scales are those of trained weights. */
  static Blocks random(SplittableRandom random, TensorType type, int rows, int cols) {
    byte[] data = new byte[Math.toIntExact(type.bytes(cols) * rows)];
    random.nextBytes(data);
    ByteBuffer bytes = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
    for (int at = 0; at < data.length; at += type.blockBytes()) {
      switch (type) {
        case F32 -> bytes.putFloat(at, weight(random));
        case F16 -> bytes.putShort(at, Float.floatToFloat16(weight(random)));
        case BF16 -> bytes.putShort(at, Bfloat16.round(weight(random)));
        case Q8_0, Q4_0, Q5_0, IQ4_NL, IQ4_XS -> bytes.putShort(at, scale(random));
        case Q4_1, Q5_1, Q4_K, Q5_K -> {
          bytes.putShort(at, scale(random));
          bytes.putShort(at + 2, scale(random));
        }
        case Q6_K, Q3_K -> bytes.putShort(at + type.blockBytes() - 2, scale(random));
        case Q2_K -> {
          bytes.putShort(at + type.blockBytes() - 4, scale(random));
          bytes.putShort(at + type.blockBytes() - 2, scale(random));
        }
        case MXFP4 -> bytes.put(at, (byte) random.nextInt(118, 122));
      }
    }
    return new Blocks(type, rows, cols, data);
  }

  private static float weight(SplittableRandom random) {
    return (float) random.nextDouble(-0.5, 0.5);
  }

  private static short scale(SplittableRandom random) {
    double scale = random.nextDouble(0.001, 0.01);
    return Float.floatToFloat16((float) (random.nextBoolean() ? scale : -scale));
  }

  /** The same values, each made positive, in F32. */
  Blocks absolute() {
    float[] values = floats();
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.abs(values[i]);
    }
    return of(rows, cols, values);
  }

  /** The values. */
  float[] floats() {
    TensorData tensor = new TensorData("blocks", type, rows, cols, MemorySegment.ofArray(data));
    float[] values = new float[rows * cols];
    for (int row = 0; row < rows; row++) {
      Dequantizer.row(tensor, row, values, row * cols);
    }
    return values;
  }
}

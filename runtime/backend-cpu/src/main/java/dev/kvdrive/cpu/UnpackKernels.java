package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Stored weights as vectors of floats. Each value has the bits that {@code
 * dev.kvdrive.model.tensor.Dequantizer} gives it: scales have so few bits that their products with
 * quants are exact, and where a minimum is added the fused operation rounds once as that sum does.
 *
 * <p>The vectors of a row go to {@code to[at]}, {@code to[at + step]}, {@code to[at + 2 * step]}
 * and so on, so that several rows can be interleaved.
 */
final class UnpackKernels {
  private static final int L = Lanes.N;

  /** Elements that are unpacked at once on their way to native memory: whole blocks and vectors. */
  private static final int CHUNK = 2048;

  private static final ThreadLocal<float[]> CHUNKS =
      ThreadLocal.withInitial(() -> new float[CHUNK]);

  private static final float[] IQ4 = Dequantizer.nibbleValues(TensorType.IQ4_NL);
  private static final float[] E2M1 = Dequantizer.nibbleValues(TensorType.MXFP4);

  private UnpackKernels() {}

  /**
   * Unpacks consecutive elements of a row. If they are no whole number of vectors, the last vector
   * is filled up with zeros.
   *
   * @param from address of the first element's block
   * @param elements a whole number of blocks
   */
  static void vectors(TensorType type, long from, int elements, float[] to, int at, int step) {
    int whole = elements / L * L;
    switch (type) {
      case F32 -> f32(from, whole, to, at, step);
      case F16 -> f16(from, whole, to, at, step);
      case BF16 -> bf16(from, whole, to, at, step);
      case Q8_0 -> q8(from, elements / 32, to, at, step);
      case Q4_0 -> q4(from, elements / 32, to, at, step);
      case Q4_1 -> q4min(from, elements / 32, to, at, step);
      case Q5_0 -> q5(from, elements / 32, to, at, step);
      case Q5_1 -> q5min(from, elements / 32, to, at, step);
      case Q4_K -> q4k(from, elements / 256, to, at, step);
      case Q5_K -> q5k(from, elements / 256, to, at, step);
      case Q6_K -> q6k(from, elements / 256, to, at, step);
      case Q2_K -> q2k(from, elements / 256, to, at, step);
      case Q3_K -> q3k(from, elements / 256, to, at, step);
      case IQ4_NL -> iq4nl(from, elements / 32, to, at, step);
      case IQ4_XS -> iq4xs(from, elements / 256, to, at, step);
      case MXFP4 -> mxfp4(from, elements / 32, to, at, step);
    }
    if (whole != elements) {
      tail(type, from + type.bytes(whole), elements - whole, to, at + whole / L * step);
    }
  }

  /**
   * Writes consecutive elements of a row to native memory.
   *
   * @param to receives {@code elements} floats
   */
  static void floats(TensorType type, long from, int elements, long to) {
    float[] chunk = CHUNKS.get();
    for (int i = 0; i < elements; i += CHUNK) {
      int count = Math.min(CHUNK, elements - i);
      vectors(type, from + type.bytes(i), count, chunk, 0, L);
      MemorySegment.copy(chunk, 0, Memory.ALL, Memory.FLOAT, to + 4L * i, count);
    }
  }

  private static void tail(TensorType type, long from, int elements, float[] to, int at) {
    for (int i = 0; i < L; i++) {
      if (i >= elements) {
        to[at + i] = 0;
      } else if (type == TensorType.F32) {
        to[at + i] = Memory.getFloat(from + 4L * i);
      } else if (type == TensorType.F16) {
        to[at + i] = Memory.getHalf(from + 2L * i);
      } else {
        to[at + i] = Float.intBitsToFloat(Memory.getShort(from + 2L * i) << 16);
      }
    }
  }

  private static void f32(long from, int elements, float[] to, int at, int step) {
    for (int i = 0; i < elements; i += L, at += step) {
      Lanes.load(from + 4L * i).intoArray(to, at);
    }
  }

  private static void f16(long from, int elements, float[] to, int at, int step) {
    for (int i = 0; i < elements; i += L, at += step) {
      StoredLanes.halfs(from + 2L * i).intoArray(to, at);
    }
  }

  private static void bf16(long from, int elements, float[] to, int at, int step) {
    for (int i = 0; i < elements; i += L, at += step) {
      Lanes.loadBfloat16(from + 2L * i).intoArray(to, at);
    }
  }

  private static void q8(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 34) {
      float d = Memory.getHalf(from);
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.floats(StoredLanes.signedBytes(from + 2 + i)).mul(d).intoArray(to, at);
      }
    }
  }

  private static void q4(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 18) {
      float scale = Memory.getHalf(from);
      FloatVector d = FloatVector.broadcast(Lanes.F, scale);
      FloatVector min = FloatVector.broadcast(Lanes.F, -8 * scale);
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.nibbles(from + 2, i).fma(d, min).intoArray(to, at);
      }
    }
  }

  private static void q4min(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 20) {
      FloatVector d = FloatVector.broadcast(Lanes.F, Memory.getHalf(from));
      FloatVector min = FloatVector.broadcast(Lanes.F, Memory.getHalf(from + 2));
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.nibbles(from + 4, i).fma(d, min).intoArray(to, at);
      }
    }
  }

  private static void q5(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 22) {
      float scale = Memory.getHalf(from);
      FloatVector d = FloatVector.broadcast(Lanes.F, scale);
      FloatVector min = FloatVector.broadcast(Lanes.F, -16 * scale);
      int high = Memory.getInt(from + 2);
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.fiveBits(from + 6, high, i).fma(d, min).intoArray(to, at);
      }
    }
  }

  private static void q5min(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 24) {
      FloatVector d = FloatVector.broadcast(Lanes.F, Memory.getHalf(from));
      FloatVector min = FloatVector.broadcast(Lanes.F, Memory.getHalf(from + 2));
      int high = Memory.getInt(from + 4);
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.fiveBits(from + 8, high, i).fma(d, min).intoArray(to, at);
      }
    }
  }

  private static void q4k(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 144) {
      float d = Memory.getHalf(from);
      float dmin = Memory.getHalf(from + 2);
      long scales = KScales.scales(from + 4);
      long mins = KScales.mins(from + 4);
      for (int g = 0; g < 8; g++) {
        FloatVector scale = FloatVector.broadcast(Lanes.F, d * KScales.of(scales, g));
        FloatVector min = FloatVector.broadcast(Lanes.F, -(dmin * KScales.of(mins, g)));
        long nibbles = from + 16 + 32L * (g >> 1);
        for (int i = 0; i < 32; i += L, at += step) {
          StoredLanes.floats(
                  StoredLanes.unsignedBytes(nibbles + i)
                      .lanewise(VectorOperators.LSHR, 4 * (g & 1))
                      .lanewise(VectorOperators.AND, 15))
              .fma(scale, min)
              .intoArray(to, at);
        }
      }
    }
  }

  private static void q5k(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 176) {
      float d = Memory.getHalf(from);
      float dmin = Memory.getHalf(from + 2);
      long scales = KScales.scales(from + 4);
      long mins = KScales.mins(from + 4);
      for (int g = 0; g < 8; g++) {
        FloatVector scale = FloatVector.broadcast(Lanes.F, d * KScales.of(scales, g));
        FloatVector min = FloatVector.broadcast(Lanes.F, -(dmin * KScales.of(mins, g)));
        long nibbles = from + 48 + 32L * (g >> 1);
        for (int i = 0; i < 32; i += L, at += step) {
          IntVector low =
              StoredLanes.unsignedBytes(nibbles + i)
                  .lanewise(VectorOperators.LSHR, 4 * (g & 1))
                  .lanewise(VectorOperators.AND, 15);
          IntVector high =
              StoredLanes.unsignedBytes(from + 16 + i)
                  .lanewise(VectorOperators.LSHR, g)
                  .lanewise(VectorOperators.AND, 1)
                  .lanewise(VectorOperators.LSHL, 4);
          StoredLanes.floats(low.lanewise(VectorOperators.OR, high))
              .fma(scale, min)
              .intoArray(to, at);
        }
      }
    }
  }

  private static void q6k(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 210) {
      float d = Memory.getHalf(from + 208);
      for (int g = 0; g < 8; g++) {
        int k = g & 3;
        long nibbles = from + 64L * (g >> 2) + 32L * (k & 1);
        long pairs = from + 128 + 32L * (g >> 2);
        for (int i = 0; i < 32; i += L, at += step) {
          float scale = d * Memory.getByte(from + 192 + 2L * g + (i >> 4));
          IntVector low =
              StoredLanes.unsignedBytes(nibbles + i)
                  .lanewise(VectorOperators.LSHR, k >> 1 << 2)
                  .lanewise(VectorOperators.AND, 15);
          IntVector high =
              StoredLanes.unsignedBytes(pairs + i)
                  .lanewise(VectorOperators.LSHR, 2 * k)
                  .lanewise(VectorOperators.AND, 3)
                  .lanewise(VectorOperators.LSHL, 4);
          StoredLanes.floats(low.lanewise(VectorOperators.OR, high))
              .sub(32f)
              .mul(scale)
              .intoArray(to, at);
        }
      }
    }
  }

  private static void q2k(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 84) {
      float d = Memory.getHalf(from + 80);
      float dmin = Memory.getHalf(from + 82);
      for (int g = 0; g < 8; g++) {
        long pairs = from + 16 + 32L * (g >> 2);
        for (int i = 0; i < 32; i += L, at += step) {
          int scales = Memory.getByte(from + 2L * g + (i >> 4));
          float min = -(dmin * ((scales >> 4) & 15));
          StoredLanes.floats(StoredLanes.twoBits(pairs + i, g & 3))
              .fma(
                  FloatVector.broadcast(Lanes.F, d * (scales & 15)),
                  FloatVector.broadcast(Lanes.F, min))
              .intoArray(to, at);
        }
      }
    }
  }

  private static void q3k(long from, int blocks, float[] to, int at, int step) {
    for (int b = 0; b < blocks; b++, from += 110) {
      float d = Memory.getHalf(from + 108);
      for (int g = 0; g < 8; g++) {
        long pairs = from + 32 + 32L * (g >> 2);
        for (int i = 0; i < 32; i += L, at += step) {
          int s = 2 * g + (i >> 4);
          int scale =
              ((Memory.getByte(from + 96 + (s & 7)) >> (s >> 3 << 2)) & 15)
                  | ((Memory.getByte(from + 104 + (s & 3)) >> (s >> 2 << 1)) & 3) << 4;
          IntVector high =
              StoredLanes.unsignedBytes(from + i)
                  .lanewise(VectorOperators.LSHR, g)
                  .lanewise(VectorOperators.AND, 1)
                  .lanewise(VectorOperators.LSHL, 2);
          StoredLanes.floats(
                  StoredLanes.twoBits(pairs + i, g & 3).lanewise(VectorOperators.OR, high))
              .sub(4f)
              .mul(d * (scale - 32))
              .intoArray(to, at);
        }
      }
    }
  }

  private static void iq4nl(long from, int blocks, float[] to, int at, int step) {
    int[] index = new int[L];
    for (int b = 0; b < blocks; b++, from += 18) {
      float d = Memory.getHalf(from);
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.lookUp(IQ4, from + 2, i, index).mul(d).intoArray(to, at);
      }
    }
  }

  private static void iq4xs(long from, int blocks, float[] to, int at, int step) {
    int[] index = new int[L];
    for (int b = 0; b < blocks; b++, from += 136) {
      float d = Memory.getHalf(from);
      int high = Memory.getShort(from + 2);
      for (int g = 0; g < 8; g++) {
        int low = (Memory.getByte(from + 4 + (g >> 1)) >> (4 * (g & 1))) & 15;
        float scale = d * ((low | ((high >> (2 * g)) & 3) << 4) - 32);
        for (int i = 0; i < 32; i += L, at += step) {
          StoredLanes.lookUp(IQ4, from + 8 + 16L * g, i, index).mul(scale).intoArray(to, at);
        }
      }
    }
  }

  private static void mxfp4(long from, int blocks, float[] to, int at, int step) {
    int[] index = new int[L];
    for (int b = 0; b < blocks; b++, from += 17) {
      float d = Dequantizer.mxfp4Scale(Memory.getByte(from));
      for (int i = 0; i < 32; i += L, at += step) {
        StoredLanes.lookUp(E2M1, from + 1, i, index).mul(d).intoArray(to, at);
      }
    }
  }
}

package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** What is done with single rows of F32 at addresses. Kernels: see {@link Lanes}. */
final class PointwiseKernels {
  private PointwiseKernels() {}

  /** Of a row, or of a head. */
  static void norm(long in, long gain, float epsilon, int width, long out) {
    int whole = width - width % Lanes.N;
    FloatVector squares = FloatVector.zero(Lanes.F);
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector x = Lanes.load(in + 4L * i);
      squares = x.fma(x, squares);
    }
    float sum = Lanes.sum(squares);
    for (int i = whole; i < width; i++) {
      float x = Memory.getFloat(in + 4L * i);
      sum = Math.fma(x, x, sum);
    }
    float factor = (float) (1 / Math.sqrt(sum / width + epsilon));
    for (int i = 0; i < whole; i += Lanes.N) {
      Lanes.store(Lanes.load(in + 4L * i).mul(factor).mul(Lanes.load(gain + 4L * i)), out + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      Memory.putFloat(
          out + 4L * i, Memory.getFloat(in + 4L * i) * factor * Memory.getFloat(gain + 4L * i));
    }
  }

  /** Adds a row to another. */
  static void add(long x, int width, long to) {
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      Lanes.store(Lanes.load(to + 4L * i).add(Lanes.load(x + 4L * i)), to + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      Memory.putFloat(to + 4L * i, Memory.getFloat(to + 4L * i) + Memory.getFloat(x + 4L * i));
    }
  }

  /** Multiplies the {@code width} floats at {@code x}. */
  static void scale(long x, float factor, int width) {
    int whole = width - width % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      Lanes.store(Lanes.load(x + 4L * i).mul(factor), x + 4L * i);
    }
    for (int i = whole; i < width; i++) {
      Memory.putFloat(x + 4L * i, Memory.getFloat(x + 4L * i) * factor);
    }
  }

  /** Turns each two neighbours of a head. */
  static void rotateNeighbours(long x, long cosines, long sines, int elements) {
    int whole = elements - elements % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector v = Lanes.load(x + 4L * i);
      FloatVector turned = Lanes.swapNeighbours(v).mul(Lanes.load(sines + 4L * i));
      Lanes.store(v.fma(Lanes.load(cosines + 4L * i), turned), x + 4L * i);
    }
    for (int i = whole; i < elements; i += 2) {
      float a = Memory.getFloat(x + 4L * i);
      float b = Memory.getFloat(x + 4L * i + 4);
      float cos = Memory.getFloat(cosines + 4L * i);
      float sin = Memory.getFloat(sines + 4L * i + 4);
      Memory.putFloat(x + 4L * i, Math.fma(a, cos, b * -sin));
      Memory.putFloat(x + 4L * i + 4, Math.fma(b, cos, a * sin));
    }
  }

  /** Turns each element of the first half of a head with that of the second. */
  static void rotateHalves(long first, long second, long cosines, long sines, int pairs) {
    int whole = pairs - pairs % Lanes.N;
    for (int i = 0; i < whole; i += Lanes.N) {
      FloatVector a = Lanes.load(first + 4L * i);
      FloatVector b = Lanes.load(second + 4L * i);
      FloatVector cos = Lanes.load(cosines + 4L * i);
      FloatVector sin = Lanes.load(sines + 4L * i);
      Lanes.store(a.fma(cos, b.mul(sin.neg())), first + 4L * i);
      Lanes.store(b.fma(cos, a.mul(sin)), second + 4L * i);
    }
    for (int i = whole; i < pairs; i++) {
      float a = Memory.getFloat(first + 4L * i);
      float b = Memory.getFloat(second + 4L * i);
      float cos = Memory.getFloat(cosines + 4L * i);
      float sin = Memory.getFloat(sines + 4L * i);
      Memory.putFloat(first + 4L * i, Math.fma(a, cos, b * -sin));
      Memory.putFloat(second + 4L * i, Math.fma(b, cos, a * sin));
    }
  }

  /** Elements {@code [from, to)} of a row: {@code gate / (1 + exp(-gate)) * up}. */
  static void silu(long gate, long up, int from, int to, long out) {
    int i = from;
    for (; i + Lanes.N <= to; i += Lanes.N) {
      FloatVector g = Lanes.load(gate + 4L * i);
      FloatVector divisor = Lanes.exp(g.neg()).add(1f);
      Lanes.store(g.div(divisor).mul(Lanes.load(up + 4L * i)), out + 4L * i);
    }
    for (; i < to; i++) {
      float g = Memory.getFloat(gate + 4L * i);
      float divisor = Lanes.exp(-g) + 1f;
      Memory.putFloat(out + 4L * i, g / divisor * Memory.getFloat(up + 4L * i));
    }
  }

  /** The first of the largest elements of a row, -1 where one of them is not a number. */
  static int argmax(long x, int width) {
    int whole = width - width % Lanes.N;
    float max = Memory.getFloat(x);
    if (whole > 0) {
      FloatVector most = Lanes.load(x);
      for (int i = Lanes.N; i < whole; i += Lanes.N) {
        most = most.max(Lanes.load(x + 4L * i));
      }
      max = most.reduceLanes(VectorOperators.MAX);
    }
    for (int i = whole; i < width; i++) {
      max = Math.max(max, Memory.getFloat(x + 4L * i));
    }
    for (int i = 0; i < whole; i += Lanes.N) {
      VectorMask<Float> equal = Lanes.load(x + 4L * i).eq(max);
      if (equal.anyTrue()) {
        return i + equal.firstTrue();
      }
    }
    for (int i = whole; i < width; i++) {
      if (Memory.getFloat(x + 4L * i) == max) {
        return i;
      }
    }
    // Nothing equals a NaN, which the largest of a row that holds one is.
    return -1;
  }
}

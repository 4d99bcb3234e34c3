package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Logs, exponentials and sums by which scores become shares. All of them go on to the end of the
 * last vector. Kernels: see {@link Lanes}.
 */
final class ShareKernels {
  private ShareKernels() {}

  /** log(sum(exp(x))) of {@code n} floats; up to a vector behind them is overwritten. */
  static float logSumExp(long x, int n) {
    int end = Math.ceilDiv(n, Lanes.N) * Lanes.N;
    for (int i = n; i < end; i++) {
      Memory.putFloat(x + 4L * i, Float.NEGATIVE_INFINITY);
    }
    float max = largest(x, end);
    return (float) (max + StrictMath.log(sumOfDecays(x, end, max)));
  }

  private static float largest(long x, int end) {
    FloatVector most = Lanes.load(x);
    for (int i = Lanes.N; i < end; i += Lanes.N) {
      most = Lanes.larger(most, Lanes.load(x + 4L * i));
    }
    return most.reduceLanes(VectorOperators.MAX);
  }

  /**
   * The largest of {@code count} floats from {@code at} and {@code least}. A NaN is as if it were
   * not there; it is in the sum of the exponentials.
   */
  static float largest(float least, float[] x, int at, int count) {
    int whole = count - count % Lanes.N;
    FloatVector most = FloatVector.broadcast(Lanes.F, least);
    for (int i = 0; i < whole; i += Lanes.N) {
      most = Lanes.larger(most, FloatVector.fromArray(Lanes.F, x, at + i));
    }
    float largest = whole == 0 ? least : Lanes.largest(most);
    for (int i = at + whole; i < at + count; i++) {
      largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
  }

  private static float sumOfDecays(long x, int end, float max) {
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < end; i += Lanes.N) {
      sum = sum.add(Lanes.decay(Lanes.load(x + 4L * i).sub(max)));
    }
    return Lanes.sum(sum);
  }

  /** Of the rows of a group, each less what {@code minus} has of it: the largest of a column. */
  static void largestOfAll(long rows, long stride, int count, int group, float[] minus, long most) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      FloatVector largest = FloatVector.broadcast(Lanes.F, -Float.MAX_VALUE);
      for (int g = 0; g < group; g++) {
        largest = Lanes.larger(largest, Lanes.load(rows + g * stride + i).sub(minus[g]));
      }
      Lanes.store(largest, most + i);
    }
  }

  /** The sum of a column's exponentials, each less the largest. */
  static void sumsOfAll(
      long rows, long stride, int count, int group, float[] minus, long most, long sums) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (int g = 0; g < group; g++) {
        FloatVector share = Lanes.load(rows + g * stride + i).sub(minus[g]);
        sum = sum.add(Lanes.exp(share.sub(Lanes.load(most + i))));
      }
      Lanes.store(sum, sums + i);
    }
  }

  /** {@code x + log(of)}. */
  static void addLogs(long x, long of, int count, long out) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      Lanes.store(Lanes.load(x + i).add(Lanes.log(Lanes.load(of + i))), out + i);
    }
  }

  /** Takes something off floats. */
  static void subtract(long x, int count, float minus) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      Lanes.store(Lanes.load(x + i).sub(minus), x + i);
    }
  }

  /** The larger of {@code most} and {@code x - minus} becomes {@code most}. */
  static void larger(long most, long x, int count, float minus) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      Lanes.store(Lanes.larger(Lanes.load(most + i), Lanes.load(x + i).sub(minus)), most + i);
    }
  }

  /** Floats become their exponentials. */
  static void exp(long x, int count) {
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      Lanes.store(Lanes.exp(Lanes.load(x + i)), x + i);
    }
  }

  /** {@code exp(x - minus)} of {@code count} floats from {@code at}, to the same place. */
  static void exp(float[] x, int at, int count, float minus, float[] out) {
    for (int i = at; i < at + count; i += Lanes.N) {
      Lanes.exp(FloatVector.fromArray(Lanes.F, x, i).sub(minus)).intoArray(out, i);
    }
  }

  /**
   * Adds the logs of {@code count} floats to as many scores of each of {@code rows} queries.
   *
   * @param of normal positive numbers
   * @param at of the first query's
   */
  static void addLogs(float[] of, int count, float[] scores, int at, int stride, int rows) {
    for (int i = 0; i < count; i += Lanes.N) {
      FloatVector log = Lanes.log(FloatVector.fromArray(Lanes.F, of, i));
      for (int row = 0; row < rows; row++) {
        int to = at + row * stride + i;
        FloatVector.fromArray(Lanes.F, scores, to).add(log).intoArray(scores, to);
      }
    }
  }

  /** Multiplies whole vectors of floats. */
  static void multiply(float[] x, int at, int count, float by) {
    for (int i = at; i < at + count; i += Lanes.N) {
      FloatVector.fromArray(Lanes.F, x, i).mul(by).intoArray(x, i);
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.RowSampling;
import dev.kvdrive.device.TokenDraw;
import dev.kvdrive.model.tensor.RopeSpec;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Norms, biases, rotation, activation and the choice of tokens on rows of F32. Strides are in
 * bytes.
 */
final class Pointwise {
  /** Elements whose work is worth a task of its own: some ten microseconds. */
  private static final int TASK_ELEMENTS = 16 * 1024;

  private final ComputePool pool;
  private final ThreadScratch[] scratch;

  Pointwise(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  private interface Row {
    void run(int row, ThreadScratch scratch);
  }

  /** Runs a row's work for all rows, several rows of {@code width} elements in a task. */
  private Runnable forEachRow(int rows, long width, Row work) {
    int perTask = (int) Math.max(1, TASK_ELEMENTS / Math.max(1, width));
    return pool.region(
        Math.ceilDiv(rows, perTask),
        (task, thread) -> {
          int to = Math.min(rows, (task + 1) * perTask);
          for (int row = task * perTask; row < to; row++) {
            work.run(row, scratch[thread]);
          }
        });
  }

  Runnable rmsNorm(
      long in,
      long inStride,
      long gain,
      float epsilon,
      int rows,
      int width,
      long out,
      long stride) {
    return forEachRow(
        rows,
        width,
        (row, thread) -> norm(in + row * inStride, gain, epsilon, width, out + row * stride));
  }

  Runnable headNorm(long x, long stride, long gain, float epsilon, int rows, int heads, int width) {
    return forEachRow(
        rows,
        (long) heads * width,
        (row, thread) -> {
          for (int head = 0; head < heads; head++) {
            long at = x + row * stride + 4L * head * width;
            norm(at, gain, epsilon, width, at);
          }
        });
  }

  private static void norm(long in, long gain, float epsilon, int width, long out) {
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

  Runnable addBias(long bias, int width, long x, long stride, int rows) {
    return forEachRow(
        rows,
        width,
        (row, thread) -> {
          long at = x + row * stride;
          int whole = width - width % Lanes.N;
          for (int i = 0; i < whole; i += Lanes.N) {
            Lanes.store(Lanes.load(at + 4L * i).add(Lanes.load(bias + 4L * i)), at + 4L * i);
          }
          for (int i = whole; i < width; i++) {
            Memory.putFloat(
                at + 4L * i, Memory.getFloat(at + 4L * i) + Memory.getFloat(bias + 4L * i));
          }
        });
  }

  Runnable add(long x, long xStride, int rows, int width, long out, long stride) {
    return forEachRow(
        rows,
        width,
        (row, thread) -> {
          long from = x + row * xStride;
          long to = out + row * stride;
          int whole = width - width % Lanes.N;
          for (int i = 0; i < whole; i += Lanes.N) {
            Lanes.store(Lanes.load(to + 4L * i).add(Lanes.load(from + 4L * i)), to + 4L * i);
          }
          for (int i = whole; i < width; i++) {
            Memory.putFloat(
                to + 4L * i, Memory.getFloat(to + 4L * i) + Memory.getFloat(from + 4L * i));
          }
        });
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

  Runnable angles(RopeSpec spec, long positions, int rows, long out) {
    float[] frequencies = spec.inverseFrequencies();
    // A sine and a cosine take as long as some hundred multiplications.
    return forEachRow(
        rows,
        100L * frequencies.length,
        (row, thread) -> {
          int position = Memory.getInt(positions + 4L * row);
          double magnitude = spec.magnitudeAt(position);
          long at = out + 8L * row * frequencies.length;
          for (int i = 0; i < frequencies.length; i++) {
            double angle = (double) position * frequencies[i];
            // StrictMath: the intrinsics of Math may differ from its interpreted form.
            Memory.putFloat(at + 8L * i, (float) (StrictMath.cos(angle) * magnitude));
            Memory.putFloat(at + 8L * i + 4, (float) (StrictMath.sin(angle) * magnitude));
          }
        });
  }

  Runnable rotate(
      RopeSpec spec, long angles, long x, long stride, int rows, int heads, int headDim) {
    int pairs = spec.inverseFrequencies().length;
    return forEachRow(
        rows,
        (long) heads * headDim,
        (row, thread) -> {
          long of = angles + 8L * row * pairs;
          long cosines = thread.floats(Use.KEYS, 2L * pairs);
          long sines = thread.floats(Use.VALUES, 2L * pairs);
          if (spec.interleaved()) {
            // cos, cos and -sin, sin for each pair of neighbours.
            for (int i = 0; i < pairs; i++) {
              float cos = Memory.getFloat(of + 8L * i);
              float sin = Memory.getFloat(of + 8L * i + 4);
              Memory.putFloat(cosines + 8L * i, cos);
              Memory.putFloat(cosines + 8L * i + 4, cos);
              Memory.putFloat(sines + 8L * i, -sin);
              Memory.putFloat(sines + 8L * i + 4, sin);
            }
          } else {
            for (int i = 0; i < pairs; i++) {
              Memory.putFloat(cosines + 4L * i, Memory.getFloat(of + 8L * i));
              Memory.putFloat(sines + 4L * i, Memory.getFloat(of + 8L * i + 4));
            }
          }
          for (int head = 0; head < heads; head++) {
            long at = x + row * stride + 4L * head * headDim;
            if (spec.interleaved()) {
              rotateNeighbours(at, cosines, sines, 2 * pairs);
            } else {
              rotateHalves(at, at + 4L * pairs, cosines, sines, pairs);
            }
          }
        });
  }

  private static void rotateNeighbours(long x, long cosines, long sines, int elements) {
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

  private static void rotateHalves(long first, long second, long cosines, long sines, int pairs) {
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

  Runnable siluMultiply(
      long gate,
      long gateStride,
      long up,
      long upStride,
      int rows,
      int width,
      long out,
      long stride) {
    // Long rows are cut, so that the one row of a decode step keeps all threads busy.
    int parts = Math.max(1, width / TASK_ELEMENTS * 2);
    int partWidth = Math.ceilDiv(Math.ceilDiv(width, parts), Lanes.N) * Lanes.N;
    return forEachRow(
        rows * parts,
        4L * partWidth,
        (task, thread) -> {
          int row = task / parts;
          int from = task % parts * partWidth;
          int to = Math.min(width, from + partWidth);
          silu(gate + row * gateStride, up + row * upStride, from, to, out + row * stride);
        });
  }

  private static void silu(long gate, long up, int from, int to, long out) {
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

  /**
   * @param sampling address of a {@link RowSampling} for each row
   */
  Runnable choose(long logits, long stride, int rows, int width, long sampling, long out) {
    return forEachRow(
        rows,
        width,
        (row, thread) ->
            Memory.putInt(
                out + 4L * row,
                choose(
                    logits + row * stride,
                    width,
                    sampling + (long) RowSampling.BYTES * row,
                    thread)));
  }

  private static int choose(long x, int width, long sampling, ThreadScratch thread) {
    float temperature = Memory.getFloat(sampling + RowSampling.TEMPERATURE);
    if (temperature == 0) {
      return argmax(x, width);
    }
    float[] logits = thread.array(Use.SCORES, width);
    Memory.copy(x, logits, width);
    if (!TokenDraw.finite(logits, width)) {
      return -1;
    }
    return thread
        .draw(width)
        .choose(
            logits,
            width,
            temperature,
            Memory.getInt(sampling + RowSampling.TOP_K),
            Memory.getFloat(sampling + RowSampling.TOP_P),
            Memory.getFloat(sampling + RowSampling.MIN_P),
            Memory.getLong(sampling + RowSampling.DRAW));
  }

  private static int argmax(long x, int width) {
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
      var equal = Lanes.load(x + 4L * i).eq(max);
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

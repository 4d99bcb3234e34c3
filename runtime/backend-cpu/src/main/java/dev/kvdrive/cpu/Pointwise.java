package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.RowSampling;
import dev.kvdrive.device.TokenDraw;
import dev.kvdrive.model.tensor.RopeSpec;

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
        (row, thread) ->
            PointwiseKernels.norm(in + row * inStride, gain, epsilon, width, out + row * stride));
  }

  Runnable headNorm(long x, long stride, long gain, float epsilon, int rows, int heads, int width) {
    return forEachRow(
        rows,
        (long) heads * width,
        (row, thread) -> {
          for (int head = 0; head < heads; head++) {
            long at = x + row * stride + 4L * head * width;
            PointwiseKernels.norm(at, gain, epsilon, width, at);
          }
        });
  }

  Runnable addBias(long bias, int width, long x, long stride, int rows) {
    return forEachRow(
        rows, width, (row, thread) -> PointwiseKernels.add(bias, width, x + row * stride));
  }

  Runnable add(long x, long xStride, int rows, int width, long out, long stride) {
    return forEachRow(
        rows,
        width,
        (row, thread) -> PointwiseKernels.add(x + row * xStride, width, out + row * stride));
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
              PointwiseKernels.rotateNeighbours(at, cosines, sines, 2 * pairs);
            } else {
              PointwiseKernels.rotateHalves(at, at + 4L * pairs, cosines, sines, pairs);
            }
          }
        });
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
          PointwiseKernels.silu(
              gate + row * gateStride, up + row * upStride, from, to, out + row * stride);
        });
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
      return PointwiseKernels.argmax(x, width);
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
}

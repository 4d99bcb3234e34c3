package dev.kvdrive.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.locks.ReentrantLock;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/**
 * Weights times activations.
 *
 * <p>The bits of a result depend on the row of activations and the row of weights alone: neither on
 * the other rows of the call, nor on the threads, nor on what the compiler made of the code so far.
 * Each (row, output) is one vector of sums, lane {@code l} of which takes the products of columns
 * {@code l, l + lanes, ...} in this order, fused; then the lanes are folded in halves; columns left
 * over are added one by one.
 *
 * <p>Threads: calls from several threads run one after the other. A call allocates nothing once the
 * scratch of its thread is as long as its weight is wide.
 */
final class Matmul {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;

  /** Rows of weights that a task takes at least. */
  private static final int TASK_ROWS = 16;

  private final ComputePool pool;
  private final ReentrantLock one = new ReentrantLock();
  private final ComputePool.Task task = this::run;
  private final Arena arena = Arena.ofAuto();
  private final long[] scratch;
  private final long[] scratchFloats;

  private @Nullable CpuWeight weight;
  private long in;
  private long inStride;
  private int rows;
  private long out;
  private long outStride;
  private boolean add;
  private int taskRows;

  Matmul(ComputePool pool) {
    this.pool = pool;
    scratch = new long[pool.threads()];
    scratchFloats = new long[pool.threads()];
  }

  /**
   * {@code out[r][o] = (add ? out[r][o] : 0) + sum_i weight[o][i] * in[r][i]}, F32, on the pool.
   *
   * @param in address of {@code rows} rows of {@code weight.cols()} floats, {@code inStride} bytes
   *     from one to the next
   * @param out address of {@code rows} rows of {@code weight.rows()} floats, {@code outStride}
   *     bytes from one to the next; does not overlap {@code in}
   */
  void multiply(
      CpuWeight weight, long in, long inStride, int rows, long out, long outStride, boolean add) {
    one.lock();
    try {
      this.weight = weight;
      this.in = in;
      this.inStride = inStride;
      this.rows = rows;
      this.out = out;
      this.outStride = outStride;
      this.add = add;
      taskRows = Math.max(TASK_ROWS, Math.ceilDiv(weight.rows(), 8 * pool.threads()));
      pool.run(Math.ceilDiv(weight.rows(), taskRows), task);
    } finally {
      this.weight = null;
      one.unlock();
    }
  }

  private void run(int index, int thread) {
    CpuWeight w = weight;
    if (w == null) {
      throw new IllegalStateException("no matrix multiplication is running");
    }
    int cols = w.cols();
    if (scratchFloats[thread] < cols) {
      MemorySegment s;
      synchronized (arena) {
        s = arena.allocate(4L * cols, 64);
      }
      scratch[thread] = s.address();
      scratchFloats[thread] = cols;
    }
    long row = scratch[thread];
    int to = Math.min(w.rows(), (index + 1) * taskRows);
    for (int o = index * taskRows; o < to; o++) {
      w.row(o, row);
      for (int r = 0; r < rows; r++) {
        float sum = dot(row, in + r * inStride, cols);
        long target = out + r * outStride + 4L * o;
        Memory.putFloat(target, add ? Memory.getFloat(target) + sum : sum);
      }
    }
  }

  private static float dot(long a, long b, int n) {
    FloatVector sums = FloatVector.zero(LANES);
    int whole = LANES.loopBound(n);
    for (int i = 0; i < whole; i += LANES.length()) {
      FloatVector x = FloatVector.fromMemorySegment(LANES, Memory.ALL, a + 4L * i, Memory.ORDER);
      FloatVector y = FloatVector.fromMemorySegment(LANES, Memory.ALL, b + 4L * i, Memory.ORDER);
      sums = x.fma(y, sums);
    }
    float[] lanes = sums.toArray();
    for (int half = lanes.length / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; l++) {
        lanes[l] += lanes[l + half];
      }
    }
    float sum = lanes[0];
    for (int i = whole; i < n; i++) {
      sum = Math.fma(Memory.getFloat(a + 4L * i), Memory.getFloat(b + 4L * i), sum);
    }
    return sum;
  }
}

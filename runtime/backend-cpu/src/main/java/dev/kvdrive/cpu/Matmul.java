package dev.kvdrive.cpu;

import dev.kvdrive.device.TensorType;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * Weights times activations.
 *
 * <p>The bits of a result depend on its row of activations and its row of weights alone: neither on
 * the other rows of the call, nor on the threads, nor on what the compiler made of the code so far.
 * Each (row, output) is one vector of sums whose lane {@code l} takes the products of the columns
 * {@code l, l + L, l + 2L, ...} in this order, fused, as if rows were filled up with zeros to whole
 * vectors; in the end the lanes are added up as a tree ({@link Lanes#sums4}).
 *
 * <p>The rows of activations are interleaved in groups ({@link WeightTile}), once for each call. A
 * task computes a band of outputs for all rows: it unpacks the band's weights panel by panel, so
 * that panel and sums stay in the core's own caches, and multiplies the panel with all groups.
 *
 * <p>Threads: calls from several threads run one after the other. A call allocates nothing once
 * there was one with as many elements of activations.
 */
final class Matmul {
  private static final int L = Lanes.N;

  /** Columns of a panel: whole blocks of every type. */
  private static final int PANEL_COLS = 512;

  /** Outputs of a band at most. */
  private static final int BAND = 16;

  /** Rows of activations that are multiplied at once; more are cut. */
  private static final int ROWS = 256;

  private final ComputePool pool;
  private final ReentrantLock one = new ReentrantLock();
  private final ComputePool.Task interleave = this::interleave;
  private final ComputePool.Task band = this::band;
  private final float[][] panels;
  private final float[][] sums;

  // The call that runs, read by the tasks.
  private @Nullable CpuWeight weight;
  private float[] x = new float[0];

  /** Floats of an interleaved row: the columns, filled up to whole vectors. */
  private int width;

  private long in;
  private long inStride;
  private int rows;
  private long out;
  private long outStride;
  private boolean add;
  private int bandOuts;

  Matmul(ComputePool pool) {
    this.pool = pool;
    panels = new float[pool.threads()][BAND * PANEL_COLS];
    sums = new float[pool.threads()][ROWS * BAND * L];
  }

  /**
   * {@code out[r][o] = (add ? out[r][o] : 0) + sum_i weight[o][i] * in[r][i]}, all F32, computed by
   * the pool.
   *
   * @param in address of {@code rows} rows of {@code weight.cols()} floats, {@code inStride} bytes
   *     from one to the next
   * @param out address of {@code rows} rows of {@code weight.rows()} floats, {@code outStride}
   *     bytes from one to the next; must not overlap {@code in}
   */
  void multiply(
      CpuWeight weight, long in, long inStride, int rows, long out, long outStride, boolean add) {
    one.lock();
    try {
      this.weight = weight;
      this.inStride = inStride;
      this.outStride = outStride;
      this.add = add;
      width = (weight.cols() + L - 1) / L * L;
      int most = Math.min(rows, ROWS) * width;
      if (x.length < most) {
        x = new float[most];
      }
      bandOuts = bandOuts(weight.rows());
      for (int from = 0; from < rows; from += ROWS) {
        this.rows = Math.min(ROWS, rows - from);
        this.in = in + from * inStride;
        this.out = out + from * outStride;
        multiplyRows(weight);
      }
    } finally {
      this.weight = null;
      one.unlock();
    }
  }

  /** Few enough outputs that all threads get some, whole tiles. */
  private int bandOuts(int outs) {
    int share = Math.ceilDiv(outs, 4 * pool.threads());
    int tiles = Math.ceilDiv(share, WeightTile.OUTS);
    return Math.clamp(tiles, 1, BAND / WeightTile.OUTS) * WeightTile.OUTS;
  }

  private void multiplyRows(CpuWeight weight) {
    int groups = Math.ceilDiv(rows, WeightTile.ROWS);
    if (groups <= 2) {
      for (int g = 0; g < groups; g++) {
        interleave(g, 0);
      }
    } else {
      pool.run(groups, interleave);
    }
    int bands = 0;
    for (int part = 0; part < weight.parts(); part++) {
      bands += Math.ceilDiv(weight.rows(part), bandOuts);
    }
    pool.run(bands, band);
  }

  /** Copies a group of rows to {@link #x}: for each vector of columns those of all its rows. */
  private void interleave(int group, int thread) {
    int first = group * WeightTile.ROWS;
    int count = Math.min(WeightTile.ROWS, rows - first);
    int cols = cols();
    for (int r = 0; r < count; r++) {
      Unpack.vectors(
          TensorType.F32, in + (first + r) * inStride, cols, x, first * width + r * L, count * L);
    }
  }

  private void band(int index, int thread) {
    CpuWeight w = running();
    int part = 0;
    while (true) {
      int bands = Math.ceilDiv(w.rows(part), bandOuts);
      if (index < bands) {
        break;
      }
      index -= bands;
      part++;
    }
    int from = w.firstRow(part) + index * bandOuts;
    int to = Math.min(from + bandOuts, w.firstRow(part + 1));
    band(w, part, from, to, panels[thread], sums[thread]);
  }

  private void band(CpuWeight w, int part, int from, int to, float[] panel, float[] sums) {
    TensorType type = w.type(part);
    int cols = w.cols();
    int tiles = Math.ceilDiv(to - from, WeightTile.OUTS);
    int tileSums = WeightTile.ROWS * WeightTile.OUTS * L;
    int groups = Math.ceilDiv(rows, WeightTile.ROWS);
    Arrays.fill(sums, 0, groups * tiles * tileSums, 0);
    for (int col = 0; col < cols; col += PANEL_COLS) {
      int count = Math.min(PANEL_COLS, cols - col);
      int steps = (count + L - 1) / L;
      long offset = type.bytes(col);
      for (int o = 0; o < tiles * WeightTile.OUTS; o++) {
        // The outputs that a last tile has too many repeat the last one.
        long row = w.address(part, Math.min(from + o, to - 1)) + offset;
        int at = o / WeightTile.OUTS * WeightTile.OUTS * PANEL_COLS + o % WeightTile.OUTS * L;
        Unpack.vectors(type, row, count, panel, at, WeightTile.OUTS * L);
      }
      for (int g = 0; g < groups; g++) {
        int count4 = Math.min(WeightTile.ROWS, rows - g * WeightTile.ROWS);
        int xAt = g * WeightTile.ROWS * width + col * count4;
        for (int t = 0; t < tiles; t++) {
          WeightTile.multiply(
              count4,
              x,
              xAt,
              panel,
              t * WeightTile.OUTS * PANEL_COLS,
              steps,
              sums,
              (g * tiles + t) * tileSums);
        }
      }
    }
    for (int r = 0; r < rows; r++) {
      for (int t = 0; t < tiles; t++) {
        int at =
            (r / WeightTile.ROWS * tiles + t) * tileSums
                + r % WeightTile.ROWS * WeightTile.OUTS * L;
        int o = from + t * WeightTile.OUTS;
        write(sums, at, out + r * outStride + 4L * o, Math.min(WeightTile.OUTS, to - o));
      }
    }
  }

  /** Folds the vectors of four outputs and writes, or adds, the first {@code outs} of them. */
  private void write(float[] sums, int at, long out, int outs) {
    FloatVector all =
        Lanes.sums4(
            FloatVector.fromArray(Lanes.F, sums, at),
            FloatVector.fromArray(Lanes.F, sums, at + L),
            FloatVector.fromArray(Lanes.F, sums, at + 2 * L),
            FloatVector.fromArray(Lanes.F, sums, at + 3 * L));
    FloatVector four = (FloatVector) all.reinterpretShape(FloatVector.SPECIES_128, 0);
    if (outs == WeightTile.OUTS) {
      if (add) {
        four =
            four.add(
                FloatVector.fromMemorySegment(
                    FloatVector.SPECIES_128, Memory.ALL, out, Memory.ORDER));
      }
      four.intoMemorySegment(Memory.ALL, out, Memory.ORDER);
      return;
    }
    for (int o = 0; o < outs; o++) {
      long at4 = out + 4L * o;
      float sum = four.lane(o);
      Memory.putFloat(at4, add ? sum + Memory.getFloat(at4) : sum);
    }
  }

  private int cols() {
    return running().cols();
  }

  private CpuWeight running() {
    CpuWeight w = weight;
    if (w == null) {
      throw new IllegalStateException("no multiplication is running");
    }
    return w;
  }
}

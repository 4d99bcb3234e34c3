package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.TensorType;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;
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
 * <p>The rows of activations are interleaved in groups ({@link WeightTileKernels}), once for each
 * call. A task computes a band of outputs for all rows: it unpacks the band's weights panel by
 * panel, so that panel and sums stay in the core's own caches, and multiplies the panel with all
 * groups.
 *
 * <p>Threads: calls from several threads run one after the other. A call allocates nothing once
 * there was one with as many elements of activations, and one with as many columns.
 */
final class Matmul {
  private static final int L = Lanes.N;

  /** Columns of a panel: whole blocks of every type. */
  private static final int PANEL_COLS = 512;

  /** Outputs of a band at most where there are many rows of activations. */
  private static final int WIDE_OUTS = 16;

  /** Rows of activations up to which reading weights costs more than multiplying. */
  private static final int NARROW_ROWS = 8;

  /** Bands that each thread has at least, so that none waits long for another at the end. */
  private static final int BANDS_PER_THREAD = 4;

  /**
   * Bytes behind a thread's own small arrays, so that no cache line has something of two threads:
   * decoding took three times as long where one had.
   */
  private static final int APART = 128;

  /** Floats of the sums of a tile. */
  private static final int TILE_SUMS = WeightTileKernels.ROWS * WeightTileKernels.OUTS * L;

  /** Rows of activations that are multiplied at once; more are cut. */
  private static final int ROWS = 256;

  private final ComputePool pool;
  private final ReentrantLock one = new ReentrantLock();
  private final ComputePool.Task interleave = this::interleave;
  private final ComputePool.Task band = this::band;
  private final float[][] panels;
  private final float[][] sums;
  private final long[][] addresses;
  private final float[][] factors;
  private final byte[][] codes;

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
    panels = new float[pool.threads()][WIDE_OUTS * PANEL_COLS];
    sums = new float[pool.threads()][ROWS * WIDE_OUTS * L];
    addresses = new long[pool.threads()][WeightTileKernels.OUTS + APART / Long.BYTES];
    factors =
        new float[pool.threads()]
            [WeightTileKernels.OUTS * CodeKernels.FACTORS + APART / Float.BYTES];
    codes = new byte[pool.threads()][WeightTileKernels.OUTS * CodeKernels.COLS + APART];
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
      int most =
          Math.ceilDiv(Math.min(rows, ROWS), WeightTileKernels.ROWS)
              * WeightTileKernels.ROWS
              * width;
      if (x.length < most) {
        x = new float[most];
      }
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

  private boolean narrow() {
    return rows <= NARROW_ROWS;
  }

  /** Whole tiles: long streams where reading is the limit, and a share for every thread. */
  private int bandOuts(CpuWeight weight) {
    int share = Math.ceilDiv(weight.rows(), BANDS_PER_THREAD * pool.threads());
    int tiles = Math.ceilDiv(share, WeightTileKernels.OUTS);
    return (narrow() ? tiles : Math.clamp(tiles, 1, WIDE_OUTS / WeightTileKernels.OUTS))
        * WeightTileKernels.OUTS;
  }

  private void multiplyRows(CpuWeight weight) {
    bandOuts = bandOuts(weight);
    int groups = groups();
    if (narrow()) {
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

  /** Rows of a group; a last group is filled up with rows of zeros. */
  private int members() {
    return rows == 1 ? 1 : WeightTileKernels.ROWS;
  }

  private int groups() {
    return Math.ceilDiv(rows, WeightTileKernels.ROWS);
  }

  /** Copies a group of rows to {@link #x}: for each vector of columns those of all its rows. */
  private void interleave(int group, int thread) {
    int members = members();
    int from = group * members * width;
    int present = Math.min(members, rows - group * members);
    if (present < members) {
      Arrays.fill(x, from, from + members * width, 0);
    }
    int cols = running().cols();
    for (int r = 0; r < present; r++) {
      long row = in + (group * (long) members + r) * inStride;
      UnpackKernels.vectors(TensorType.F32, row, cols, x, from + r * L, members * L);
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
    if (narrow()) {
      narrow(w, part, from, to, thread);
    } else {
      wide(w, part, from, to, panels[thread], sums[thread]);
    }
  }

  /** A band for many rows of activations, where multiplying is the limit. */
  private void wide(CpuWeight w, int part, int from, int to, float[] panel, float[] sums) {
    TensorType type = w.type(part);
    int cols = w.cols();
    int tiles = Math.ceilDiv(to - from, WeightTileKernels.OUTS);
    int groups = groups();
    int tilePanel = WeightTileKernels.OUTS * PANEL_COLS;
    Arrays.fill(sums, 0, groups * tiles * TILE_SUMS, 0);
    for (int col = 0; col < cols; col += PANEL_COLS) {
      int count = Math.min(PANEL_COLS, cols - col);
      long offset = type.bytes(col);
      for (int o = 0; o < tiles * WeightTileKernels.OUTS; o++) {
        // The outputs that a last tile has too many repeat the last one.
        long row = w.address(part, Math.min(from + o, to - 1)) + offset;
        int at = o / WeightTileKernels.OUTS * tilePanel + o % WeightTileKernels.OUTS * L;
        UnpackKernels.vectors(type, row, count, panel, at, WeightTileKernels.OUTS * L);
      }
      for (int g = 0; g < groups; g++) {
        for (int t = 0; t < tiles; t++) {
          multiply(g, col, count, panel, t * tilePanel, sums, (g * tiles + t) * TILE_SUMS);
        }
      }
    }
    WeightTileKernels.addLanes(sums, groups * tiles * WeightTileKernels.ROWS);
    for (int r = 0; r < rows; r++) {
      for (int t = 0; t < tiles; t++) {
        int tile = (r / WeightTileKernels.ROWS * tiles + t) * WeightTileKernels.ROWS;
        int at = (tile + r % WeightTileKernels.ROWS) * WeightTileKernels.OUTS;
        int o = from + t * WeightTileKernels.OUTS;
        for (int k = 0; k < WeightTileKernels.OUTS && o + k < to; k++) {
          write(sums[at + k], out + r * outStride + 4L * (o + k));
        }
      }
    }
  }

  /**
   * A band for few rows of activations, where reading weights is the limit. Tiles take their
   * outputs from the four quarters of the band, so that each quarter is read as one long stream:
   * that is what makes the memory of a core as fast as it can be (measured: 17 GB/s instead of 10
   * with four adjacent rows of 2 KiB).
   */
  private void narrow(CpuWeight w, int part, int from, int to, int thread) {
    float[] panel = panels[thread];
    float[] sums = this.sums[thread];
    TensorType type = w.type(part);
    int members = members();
    boolean direct = RowDotKernels.serves(type, members, w.cols());
    int groups = groups();
    int quarter = Math.ceilDiv(to - from, WeightTileKernels.OUTS);
    for (int o = from; o < from + quarter; o++) {
      long w0 = w.address(part, o);
      long w1 = w.address(part, Math.min(o + quarter, to - 1));
      long w2 = w.address(part, Math.min(o + 2 * quarter, to - 1));
      long w3 = w.address(part, Math.min(o + 3 * quarter, to - 1));
      if (direct && members == 1) {
        RowDotKernels.one(type, w0, w1, w2, w3, w.cols(), x, sums);
      } else if (direct) {
        for (int g = 0; g < groups; g++) {
          RowDotKernels.four(
              type, w0, w1, w2, w3, w.cols(), x, g * members * width, sums, g * TILE_SUMS);
        }
      } else if (CodeKernels.serves(type)) {
        long[] of = addresses[thread];
        of[0] = w0;
        of[1] = w1;
        of[2] = w2;
        of[3] = w3;
        coded(type, of, w.cols(), codes[thread], factors[thread], panel, sums);
      } else {
        panels(type, w0, w1, w2, w3, w.cols(), panel, sums);
      }
      WeightTileKernels.addLanes(sums, rows);
      for (int r = 0; r < rows; r++) {
        for (int k = 0; k < WeightTileKernels.OUTS && o + k * quarter < to; k++) {
          float sum = sums[r * WeightTileKernels.OUTS + k];
          write(sum, out + r * outStride + 4L * (o + k * quarter));
        }
      }
    }
  }

  /** One tile of outputs for all rows, by codes: straight for one row, by panels for more. */
  private void coded(
      TensorType type,
      long[] weights,
      int cols,
      byte[] codes,
      float[] factors,
      float[] panel,
      float[] sums) {
    int groups = groups();
    boolean single = rows == 1;
    Arrays.fill(sums, 0, groups * TILE_SUMS, 0);
    for (int col = 0; col < cols; col += CodeKernels.COLS) {
      int count = Math.min(CodeKernels.COLS, cols - col);
      CodeKernels.unpack(type, weights, type.bytes(col), count, codes, factors);
      if (single) {
        CodedDotKernels.one(type, x, col, codes, factors, count, sums);
      } else {
        CodedDotKernels.panel(type, codes, factors, count, panel);
        for (int g = 0; g < groups; g++) {
          multiply(g, col, count, panel, 0, sums, g * TILE_SUMS);
        }
      }
    }
  }

  /** One tile of outputs for all rows, panel by panel. */
  private void panels(
      TensorType type, long w0, long w1, long w2, long w3, int cols, float[] panel, float[] sums) {
    int step = WeightTileKernels.OUTS * L;
    int groups = groups();
    Arrays.fill(sums, 0, groups * TILE_SUMS, 0);
    for (int col = 0; col < cols; col += PANEL_COLS) {
      int count = Math.min(PANEL_COLS, cols - col);
      long offset = type.bytes(col);
      UnpackKernels.vectors(type, w0 + offset, count, panel, 0, step);
      UnpackKernels.vectors(type, w1 + offset, count, panel, L, step);
      UnpackKernels.vectors(type, w2 + offset, count, panel, 2 * L, step);
      UnpackKernels.vectors(type, w3 + offset, count, panel, 3 * L, step);
      for (int g = 0; g < groups; g++) {
        multiply(g, col, count, panel, 0, sums, g * TILE_SUMS);
      }
    }
  }

  /** Adds the products of a panel's tile with a group of rows. */
  private void multiply(
      int group, int col, int count, float[] panel, int at, float[] sums, int sumsAt) {
    int members = members();
    int steps = (count + L - 1) / L;
    WeightTileKernels.multiply(
        members, x, (group * width + col) * members, panel, at, steps, sums, sumsAt);
  }

  private void write(float sum, long address) {
    Memory.putFloat(address, add ? sum + Memory.getFloat(address) : sum);
  }

  private CpuWeight running() {
    CpuWeight w = weight;
    if (w == null) {
      throw new IllegalStateException("no multiplication is running");
    }
    return w;
  }
}

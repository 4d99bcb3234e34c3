package dev.kvdrive.cuda;

import static dev.kvdrive.cuda.Constants.CHOOSE_THREADS;
import static dev.kvdrive.cuda.Constants.MAX_PAIRS;
import static dev.kvdrive.cuda.Constants.WARP;
import static dev.kvdrive.cuda.CudaOperations.address;
import static dev.kvdrive.cuda.CudaOperations.anyAddress;
import static dev.kvdrive.cuda.CudaOperations.requireAtMost;
import static dev.kvdrive.cuda.CudaOperations.rows;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.WeightFormat;
import dev.kvdrive.plan.Workspace;

/** Projections, of matrices in bf16 by cuBLASLt, and pointwise work. */
final class CudaTensor implements TensorOperations {
  private static final int THREADS = 256;

  /**
   * Rows up to which a packed matrix is multiplied as it is: beyond, the pieces in bf16 cost less
   * than what matrix instructions are short of the library's.
   */
  static final int MOST_PACKED_ROWS = 64;

  /** Blocks of a packed matrix that each warp asks the cache for before its turn has come. */
  static final int AHEAD = 4;

  /** Bytes that kernels read at once. */
  private static final int VECTOR_BYTES = 16;

  private final Gpu gpu;

  CudaTensor(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void embed(Queue queue, Embed e) {
    CudaQueue own = (CudaQueue) queue;
    CudaWeight table = (CudaWeight) e.table();
    for (CudaWeight.Part part : table.parts()) {
      Structs.Embed s = Structs.EMBED;
      Arguments a =
          own.arguments()
              .put(s.table, part.memory().address())
              .put(s.tokens, CudaQueue.address(e.tokens()))
              .put(s.trouble, own.trouble());
      rows(a, s.out, e.out())
          .put(s.tableRows, part.rows())
          .put(s.cols, table.cols())
          .put(s.tableBits, part.format().bits())
          .put(s.firstRow, part.firstRow())
          .put(s.allRows, table.rows())
          .put(s.factor, e.factor());
      own.launch(gpu.kernel("embed"), e.rows(), 1, 1, THREADS, 0, a.end(s));
    }
  }

  @Override
  public void rmsNorm(Queue queue, RmsNorm n) {
    norm((CudaQueue) queue, n.in(), (CudaWeight) n.gain(), n.epsilon(), n.rows(), 1, n.out());
  }

  @Override
  public void headNorm(Queue queue, HeadNorm n) {
    norm((CudaQueue) queue, n.x(), (CudaWeight) n.gain(), n.epsilon(), n.rows(), n.heads(), n.x());
  }

  private void norm(
      CudaQueue queue,
      Activations in,
      CudaWeight gain,
      float epsilon,
      int rows,
      int heads,
      Activations out) {
    int width = gain.cols();
    Structs.Norm s = Structs.NORM;
    Arguments a = rows(rows(queue.arguments(), s.in, in), s.out, out);
    a.put(s.gain, gain.vector()).put(s.width, width).put(s.epsilon, epsilon);
    int threads = Math.clamp(Math.ceilDiv(width, 8 * WARP) * (long) WARP, WARP, 512);
    queue.launch(gpu.kernel("rmsNorm"), heads, rows, 1, threads, 0, a.end(s));
  }

  @Override
  public void matmul(Queue queue, Product product) {
    address(product.out());
    multiply((CudaQueue) queue, product, false);
  }

  @Override
  public void matmulAdd(Queue queue, Product product) {
    address(product.out());
    multiply((CudaQueue) queue, product, true);
  }

  @Override
  public void logits(Queue queue, Product product) {
    multiply((CudaQueue) queue, product, false);
  }

  private void multiply(CudaQueue queue, Product p, boolean add) {
    CudaWeight weight = (CudaWeight) p.weight();
    Activations in = p.in();
    Activations out = p.out();
    long from = address(in);
    long to = anyAddress(out);
    for (CudaWeight.Part part : weight.parts()) {
      long at = to + (long) part.firstRow() * out.type().bytes();
      if (!part.format().packed()) {
        multiply(queue, p, add, part.memory().address(), part.format(), part.rows(), from, at);
      } else if (p.rows() <= MOST_PACKED_ROWS && readInVectors(from, in)) {
        multiplyPacked(queue, p, add, part, at);
      } else {
        multiplyWidened(queue, p, add, part, from, at);
      }
    }
  }

  /** By the packed matrix itself: whatever the rows, each is summed in the same order. */
  private void multiplyPacked(
      CudaQueue queue, Product p, boolean add, CudaWeight.Part part, long to) {
    PackedKernel kernel =
        PackedKernel.of(part.format(), part.rows(), p.rows(), gpu.multiprocessors());
    multiplyPacked(queue, kernel, AHEAD, p, add, part, to);
  }

  private static boolean readInVectors(long address, Activations rows) {
    return address % VECTOR_BYTES == 0 && (long) rows.stride() * Short.BYTES % VECTOR_BYTES == 0;
  }

  /** By a certain kernel, for timings. */
  void multiplyPacked(CudaQueue queue, PackedKernel kernel, int ahead, Product p) {
    for (CudaWeight.Part part : ((CudaWeight) p.weight()).parts()) {
      long to = anyAddress(p.out()) + (long) part.firstRow() * p.out().type().bytes();
      multiplyPacked(queue, kernel, ahead, p, false, part, to);
    }
  }

  private void multiplyPacked(
      CudaQueue queue,
      PackedKernel kernel,
      int ahead,
      Product p,
      boolean add,
      CudaWeight.Part part,
      long to) {
    Structs.Packed s = Structs.PACKED;
    Arguments a = queue.arguments().put(s.weight, part.memory().address());
    rows(a, s.in, p.in())
        .put(s.out, to)
        .put(s.outStride, (long) p.out().stride())
        .put(s.outElementBytes, p.out().type().bytes())
        .put(s.outputs, part.rows())
        .put(s.cols, p.weight().cols())
        .put(s.rows, p.rows())
        .put(s.add, add ? 1 : 0)
        .put(s.ahead, ahead);
    int blocks = Math.multiplyExact(kernel.blocks(part.rows()), kernel.passes(p.rows()));
    queue.launch(
        gpu.kernel(kernel.name(part.format())),
        blocks,
        1,
        1,
        Constants.PACKED_WARPS * WARP,
        kernel.sharedBytes(),
        a.end(s));
  }

  /** By pieces of the matrix in bf16, one after the other in the same memory. */
  private void multiplyWidened(
      CudaQueue queue, Product p, boolean add, CudaWeight.Part part, long from, long to) {
    int cols = p.weight().cols();
    int tiles = Math.ceilDiv(part.rows(), WeightFormat.TILE_ROWS);
    long tileBytes = (long) cols / WeightFormat.BLOCK * part.format().tileBlockBytes();
    int most = tilesOfPiece(cols);
    long widened = queue.widened();
    for (int first = 0; first < tiles; first += most) {
      int some = Math.min(most, tiles - first);
      Structs.Widen s = Structs.WIDEN;
      Arguments a =
          queue
              .arguments()
              .put(s.weight, part.memory().address() + first * tileBytes)
              .put(s.out, widened)
              .put(s.cols, cols);
      queue.launch(
          gpu.kernel("widen_" + part.format().bits()),
          some,
          Math.ceilDiv(cols / WeightFormat.BLOCK, Constants.WIDEN_BLOCKS),
          1,
          Constants.WIDEN_WARPS * WARP,
          0,
          a.end(s));
      int firstRow = first * WeightFormat.TILE_ROWS;
      multiply(
          queue,
          p,
          add,
          widened,
          WeightFormat.BF16,
          Math.min(some * WeightFormat.TILE_ROWS, part.rows() - firstRow),
          from,
          to + (long) firstRow * p.out().type().bytes());
    }
  }

  /**
   * Tiles of a packed matrix that are widened at once: a multiple of 2,048 outputs, if there is
   * room, of which the library makes 128 tiles for 2,048 rows, so that hardly a multiprocessor is
   * idle.
   */
  static int tilesOfPiece(int cols) {
    long most = Workspace.WIDENED_BYTES / ((long) Short.BYTES * WeightFormat.TILE_ROWS * cols);
    int busy = 2048 / WeightFormat.TILE_ROWS;
    return Math.toIntExact(most < busy ? Math.max(1, most) : most / busy * busy);
  }

  /** By a matrix in bf16, or a vector in F32, of {@code outputs} rows at {@code matrix}. */
  private void multiply(
      CudaQueue queue,
      Product p,
      boolean add,
      long matrix,
      WeightFormat format,
      int outputs,
      long from,
      long to) {
    Activations in = p.in();
    Activations out = p.out();
    int cols = p.weight().cols();
    if (format == WeightFormat.BF16) {
      var shape =
          new Cublas.Shape(
              outputs,
              cols,
              p.rows(),
              in.stride(),
              out.stride(),
              out.type() == ElementType.F32,
              Cublas.alignment(from),
              Cublas.alignment(to));
      long workspace = queue.workspace(Cublas.WORKSPACE_BYTES);
      if (gpu.cublas().multiply(shape, add, matrix, from, to, workspace, queue.stream().handle())) {
        queue.submitted();
        return;
      }
    }
    Structs.Multiply s = Structs.MULTIPLY;
    Arguments a = queue.arguments().put(s.weight, matrix);
    rows(a, s.in, in)
        .put(s.out, to)
        .put(s.outStride, (long) out.stride())
        .put(s.weightElementBytes, format.bits() / Byte.SIZE)
        .put(s.outElementBytes, out.type().bytes())
        .put(s.outputs, outputs)
        .put(s.cols, cols)
        .put(s.add, add ? 1 : 0);
    int blocks = Math.ceilDiv(outputs, THREADS / WARP);
    queue.launch(gpu.kernel("multiply"), blocks, p.rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void addBias(Queue queue, Bias b) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Bias s = Structs.BIAS;
    Arguments a = rows(own.arguments(), s.x, b.x());
    a.put(s.bias, ((CudaWeight) b.bias()).vector()).put(s.width, b.bias().cols());
    int blocks = Math.ceilDiv(b.bias().cols(), THREADS);
    own.launch(gpu.kernel("addBias"), blocks, b.rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void add(Queue queue, Sum sum) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Add s = Structs.ADD;
    Arguments a = rows(rows(own.arguments(), s.x, sum.x()), s.out, sum.out());
    a.put(s.width, sum.width());
    int blocks = Math.ceilDiv(sum.width(), THREADS);
    own.launch(gpu.kernel("add"), blocks, sum.rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void angles(Queue queue, Angles angles) {
    float[] frequencies = angles.spec().inverseFrequencies();
    requireAtMost("rotated pairs", frequencies.length, MAX_PAIRS);
    CudaQueue own = (CudaQueue) queue;
    RopeSpec.Growth growth = angles.spec().growth();
    Structs.Angles s = Structs.ANGLES;
    Arguments a =
        own.arguments()
            .put(s.positions, CudaQueue.address(angles.positions()))
            .put(s.out, CudaQueue.address(angles.out()))
            .put(s.pairs, frequencies.length)
            .put(s.magnitude, angles.spec().magnitude())
            .put(s.growth, growth == null ? 0f : growth.beta())
            .put(s.period, growth == null ? 1 : growth.period())
            .put(s.inverseFrequencies, frequencies);
    int threads = Math.ceilDiv(frequencies.length, WARP) * WARP;
    own.launch(gpu.kernel("angles"), angles.rows(), 1, 1, threads, 0, a.end(s));
  }

  @Override
  public void rotate(Queue queue, Rotation r) {
    CudaQueue own = (CudaQueue) queue;
    int pairs = r.spec().inverseFrequencies().length;
    Structs.Rotate s = Structs.ROTATE;
    Arguments a = rows(own.arguments(), s.x, r.x());
    a.put(s.angles, CudaQueue.address(r.angles()))
        .put(s.heads, r.heads())
        .put(s.headDim, r.headDim())
        .put(s.pairs, pairs)
        .put(s.interleaved, r.spec().interleaved() ? 1 : 0);
    int blocks = Math.ceilDiv(r.heads() * pairs, THREADS);
    own.launch(gpu.kernel("rotate"), blocks, r.rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void siluMultiply(Queue queue, Gating g) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Silu s = Structs.SILU;
    Arguments a = rows(rows(rows(own.arguments(), s.gate, g.gate()), s.up, g.up()), s.out, g.out());
    a.put(s.width, g.width());
    int blocks = Math.ceilDiv(g.width(), 8 * THREADS);
    own.launch(gpu.kernel("siluMultiply"), blocks, g.rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void choose(Queue queue, Choice c) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Choose s = Structs.CHOOSE;
    Arguments a =
        own.arguments()
            .put(s.logits, anyAddress(c.logits()))
            .put(s.stride, (long) c.logits().stride())
            .put(s.sampling, CudaQueue.address(c.sampling()))
            .put(s.out, CudaQueue.address(c.out()))
            .put(s.width, c.width());
    own.launch(gpu.kernel("choose"), c.rows(), 1, 1, CHOOSE_THREADS, 0, a.end(s));
  }
}

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

/** Projections by cuBLASLt and pointwise work. */
final class CudaTensor implements TensorOperations {
  private static final int THREADS = 256;

  private final Gpu gpu;

  CudaTensor(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void embed(Queue queue, Embed e) {
    CudaQueue own = (CudaQueue) queue;
    CudaWeight table = (CudaWeight) e.table();
    Structs.Embed s = Structs.EMBED;
    Arguments a =
        own.arguments()
            .put(s.table, table.memory().address())
            .put(s.tokens, CudaQueue.address(e.tokens()))
            .put(s.trouble, own.trouble());
    rows(a, s.out, e.out())
        .put(s.tableRows, table.rows())
        .put(s.cols, table.cols())
        .put(s.tableElementBytes, table.elementBytes())
        .put(s.factor, e.factor());
    own.launch(gpu.kernel("embed"), e.rows(), 1, 1, THREADS, 0, a.end(s));
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
    a.put(s.gain, gain.memory().address()).put(s.width, width).put(s.epsilon, epsilon);
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
    if (weight.rows() > 1) {
      var shape =
          new Cublas.Shape(
              weight.rows(),
              weight.cols(),
              p.rows(),
              in.stride(),
              out.stride(),
              out.type() == ElementType.F32,
              Cublas.alignment(from),
              Cublas.alignment(to));
      long workspace = queue.workspace(Cublas.WORKSPACE_BYTES);
      if (gpu.cublas()
          .multiply(
              shape,
              add,
              weight.memory().address(),
              from,
              to,
              workspace,
              queue.stream().handle())) {
        queue.submitted();
        return;
      }
    }
    Structs.Multiply s = Structs.MULTIPLY;
    Arguments a = queue.arguments().put(s.weight, weight.memory().address());
    rows(a, s.in, in)
        .put(s.out, to)
        .put(s.outStride, (long) out.stride())
        .put(s.weightElementBytes, weight.elementBytes())
        .put(s.outElementBytes, out.type().bytes())
        .put(s.outputs, weight.rows())
        .put(s.cols, weight.cols())
        .put(s.add, add ? 1 : 0);
    int blocks = Math.ceilDiv(weight.rows(), THREADS / WARP);
    queue.launch(gpu.kernel("multiply"), blocks, p.rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void addBias(Queue queue, Bias b) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Bias s = Structs.BIAS;
    Arguments a = rows(own.arguments(), s.x, b.x());
    a.put(s.bias, ((CudaWeight) b.bias()).memory().address()).put(s.width, b.bias().cols());
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

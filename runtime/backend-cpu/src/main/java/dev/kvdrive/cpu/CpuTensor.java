package dev.kvdrive.cpu;

import static dev.kvdrive.cpu.CpuOperations.address;
import static dev.kvdrive.cpu.CpuOperations.requireF32;
import static dev.kvdrive.cpu.CpuOperations.stride;
import static dev.kvdrive.cpu.CpuOperations.submit;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.TensorOperations;

/** Projections and pointwise work. */
final class CpuTensor implements TensorOperations {
  private final ComputePool pool;
  private final Matmul matmul;
  private final Pointwise pointwise;

  CpuTensor(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    matmul = new Matmul(pool);
    pointwise = new Pointwise(pool, scratch);
  }

  @Override
  public void embed(Queue queue, Embed a) {
    requireF32(a.out());
    submit(queue, embed(a));
  }

  private Runnable embed(Embed a) {
    CpuWeight table = (CpuWeight) a.table();
    long ids = CpuBuffer.address(a.tokens());
    long to = address(a.out());
    long stride = stride(a.out());
    return pool.region(
        a.rows(),
        (row, thread) -> {
          int token = Memory.getInt(ids + 4L * row);
          long at = to + row * stride;
          if (token < 0) {
            Memory.clear(at, 4L * table.cols());
          } else if (token < table.rows()) {
            table.row(token, at);
            if (a.factor() != 1) {
              PointwiseKernels.scale(at, a.factor(), table.cols());
            }
          } else {
            throw new DeviceException(
                "token %d is not in %s of %d rows".formatted(token, table.name(), table.rows()));
          }
        });
  }

  @Override
  public void rmsNorm(Queue queue, RmsNorm a) {
    requireF32(a.in(), a.out());
    submit(
        queue,
        pointwise.rmsNorm(
            address(a.in()),
            stride(a.in()),
            ((CpuWeight) a.gain()).floats(),
            a.epsilon(),
            a.rows(),
            a.width(),
            address(a.out()),
            stride(a.out())));
  }

  @Override
  public void headNorm(Queue queue, HeadNorm a) {
    requireF32(a.x());
    submit(
        queue,
        pointwise.headNorm(
            address(a.x()),
            stride(a.x()),
            ((CpuWeight) a.gain()).floats(),
            a.epsilon(),
            a.rows(),
            a.heads(),
            a.gain().cols()));
  }

  @Override
  public void matmul(Queue queue, Product product) {
    multiply(queue, product, false);
  }

  @Override
  public void matmulAdd(Queue queue, Product product) {
    multiply(queue, product, true);
  }

  @Override
  public void logits(Queue queue, Product product) {
    multiply(queue, product, false);
  }

  private void multiply(Queue queue, Product a, boolean add) {
    Activations in = a.in();
    Activations out = a.out();
    requireF32(in, out);
    CpuWeight weight = (CpuWeight) a.weight();
    long from = address(in);
    long fromStride = stride(in);
    long to = address(out);
    long toStride = stride(out);
    submit(queue, () -> matmul.multiply(weight, from, fromStride, a.rows(), to, toStride, add));
  }

  @Override
  public void addBias(Queue queue, Bias a) {
    requireF32(a.x());
    submit(
        queue,
        pointwise.addBias(
            ((CpuWeight) a.bias()).floats(),
            a.bias().cols(),
            address(a.x()),
            stride(a.x()),
            a.rows()));
  }

  @Override
  public void add(Queue queue, Sum a) {
    requireF32(a.x(), a.out());
    submit(
        queue,
        pointwise.add(
            address(a.x()), stride(a.x()), a.rows(), a.width(), address(a.out()), stride(a.out())));
  }

  @Override
  public void angles(Queue queue, Angles a) {
    submit(
        queue,
        pointwise.angles(
            a.spec(), CpuBuffer.address(a.positions()), a.rows(), CpuBuffer.address(a.out())));
  }

  @Override
  public void rotate(Queue queue, Rotation a) {
    requireF32(a.x());
    submit(
        queue,
        pointwise.rotate(
            a.spec(),
            CpuBuffer.address(a.angles()),
            address(a.x()),
            stride(a.x()),
            a.rows(),
            a.heads(),
            a.headDim()));
  }

  @Override
  public void siluMultiply(Queue queue, Gating a) {
    requireF32(a.gate(), a.up(), a.out());
    submit(
        queue,
        pointwise.siluMultiply(
            address(a.gate()),
            stride(a.gate()),
            address(a.up()),
            stride(a.up()),
            a.rows(),
            a.width(),
            address(a.out()),
            stride(a.out())));
  }

  @Override
  public void choose(Queue queue, Choice c) {
    submit(
        queue,
        pointwise.choose(
            address(c.logits()),
            stride(c.logits()),
            c.rows(),
            c.width(),
            CpuBuffer.address(c.sampling()),
            CpuBuffer.address(c.out())));
  }
}

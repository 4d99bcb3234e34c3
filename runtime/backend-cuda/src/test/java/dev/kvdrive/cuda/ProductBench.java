package dev.kvdrive.cuda;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Graph;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.TensorOperations.Product;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.WeightFormat;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import jcuda.driver.CUevent;

/**
 * Time of the matrix products of a layer and of the logits at Llama-3-8B's shape, with weights as
 * files have them, against the bytes that must be read of them and the rate of a copy.
 *
 * <p>A graph multiplies with so many copies of a matrix, one after the other, that none of them
 * stays in the GPU's cache.
 */
final class ProductBench implements AutoCloseable {
  private static final long CACHED = 512L << 20;
  private static final int RUNS = 15;
  private static final int[] ROWS = {1, 8, 16, 32, 64, 128, 2048};

  /** A matrix of a layer. */
  private record Matrix(String name, int outputs, int inputs) {}

  private static final List<Matrix> MATRICES =
      List.of(
          new Matrix("qkv", 6144, 4096),
          new Matrix("out", 4096, 4096),
          new Matrix("gate+up", 28672, 4096),
          new Matrix("down", 4096, 14336),
          new Matrix("logits", 128256, 4096));

  private final PrintStream out;
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private final CudaDevice device;
  private final Driver driver;
  private final CudaQueue queue;
  private final TensorOperations tensor;
  private final DeviceBuffer in;
  private final DeviceBuffer result;
  private double copyRate;

  ProductBench(PrintStream out) {
    this.out = out;
    device = own(CudaDevice.open(0, 16L << 30));
    driver = device.gpu().driver();
    queue = (CudaQueue) own(device.createQueue("bench"));
    tensor = device.operations().tensor();
    int rows = Arrays.stream(ROWS).max().orElseThrow();
    int inputs = MATRICES.stream().mapToInt(Matrix::inputs).max().orElseThrow();
    int outputs = MATRICES.stream().mapToInt(Matrix::outputs).max().orElseThrow();
    in = own(device.allocate("in", 2L * rows * inputs));
    result = own(device.allocate("out", 4L * rows * outputs));
    queue.fill(in, 0, in.bytes() / Integer.BYTES, 0x3c12bc01);
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  void run() {
    out.println(device.description());
    copyRate = copyRate();
    out.printf("copy: %.0f GB/s, read and written%n", copyRate / 1e9);
    for (Matrix matrix : MATRICES) {
      for (TensorType type : List.of(TensorType.BF16, TensorType.Q8_0, TensorType.Q4_0)) {
        measure(matrix, type);
      }
    }
  }

  private double copyRate() {
    long bytes = 1L << 30;
    try (DeviceBuffer from = device.allocate("from", bytes);
        DeviceBuffer to = device.allocate("to", bytes)) {
      return 2 * bytes / (1e-6 * micros(() -> queue.copy(from, 0, to, 0, bytes)));
    }
  }

  private void measure(Matrix matrix, TensorType type) {
    try (Arena arena = Arena.ofShared()) {
      TensorData data = random(arena, type, matrix);
      List<Weight> copies = new ArrayList<>();
      long began = System.nanoTime();
      do {
        copies.add(device.load(matrix.name(), List.of(data)));
      } while (copies.size() * copies.getFirst().bytes() < CACHED);
      long bytes = copies.getFirst().bytes();
      out.printf(
          "%n%s, %d x %d, %s: %.1f MB, uploaded at %.2f GB/s%n",
          matrix.name(),
          matrix.outputs(),
          matrix.inputs(),
          type,
          bytes / 1e6,
          (double) copies.size() * bytes / (System.nanoTime() - began));
      boolean packed = WeightFormat.of(type.name(), matrix.outputs()).packed();
      for (int rows : ROWS) {
        if (matrix.name().equals("logits") && rows > 128) {
          continue;
        }
        time("", copies, matrix, rows, p -> tensor.logits(queue, p));
        if (packed && rows <= CudaTensor.MOST_PACKED_ROWS) {
          PackedKernel chosen =
              PackedKernel.of(
                  WeightFormat.of(type.name(), matrix.outputs()),
                  matrix.outputs(),
                  rows,
                  device.gpu().multiprocessors());
          for (PackedKernel kernel : PackedKernel.ALL) {
            if (kernel.columns() == chosen.columns()) {
              for (int ahead : kernel.equals(chosen) ? new int[] {0, 4, 1 << 20} : new int[] {0}) {
                String what =
                    "%s ahead %d%s"
                        .formatted(
                            kernel.name(WeightFormat.of(type.name(), matrix.outputs())),
                            ahead,
                            kernel.equals(chosen) ? " (chosen)" : "");
                time(
                    what,
                    copies,
                    matrix,
                    rows,
                    p -> ((CudaTensor) tensor).multiplyPacked(queue, kernel, ahead, p));
              }
            }
          }
        }
      }
      copies.forEach(Weight::close);
    }
  }

  private void time(
      String what, List<Weight> copies, Matrix matrix, int rows, Consumer<Product> multiply) {
    ElementType type = matrix.name().equals("logits") ? ElementType.F32 : ElementType.BF16;
    Activations from = Activations.dense(in, ElementType.BF16, matrix.inputs());
    Activations to = Activations.dense(result, type, matrix.outputs());
    Runnable all = () -> copies.forEach(c -> multiply.accept(new Product(c, from, rows, to)));
    all.run();
    queue.synchronize();
    try (Graph graph = queue.capture(all)) {
      double micros = micros(() -> queue.launch(graph)) / copies.size();
      double rate = copies.getFirst().bytes() / (1e-6 * micros);
      out.printf(
          "  %4d rows %8.1f us, %5.0f GB/s, %3.0f %% of a copy, %4.0f TFLOP/s %s%n",
          rows,
          micros,
          rate / 1e9,
          100 * rate / copyRate,
          2e-6 * rows * matrix.outputs() * matrix.inputs() / micros,
          what);
    }
  }

  /** Median of some runs. */
  private double micros(Runnable work) {
    CUevent start = driver.createEvent(true);
    CUevent end = driver.createEvent(true);
    double[] times = new double[RUNS];
    try {
      for (int i = -3; i < RUNS; i++) {
        driver.record(start, queue.stream());
        work.run();
        driver.record(end, queue.stream());
        queue.synchronize();
        if (i >= 0) {
          times[i] = 1e3 * driver.milliseconds(start, end);
        }
      }
    } finally {
      driver.destroy(start);
      driver.destroy(end);
    }
    Arrays.sort(times);
    return times[RUNS / 2];
  }

  /** A matrix of random numbers and small steps. */
  private static TensorData random(Arena arena, TensorType type, Matrix matrix) {
    MemorySegment data =
        arena.allocate(type.bytes((long) matrix.outputs() * matrix.inputs()), 4096);
    if (type == TensorType.BF16) {
      SyntheticLlama.fill(data, 0.02f, 1);
    } else {
      long pattern = Math.min(data.byteSize(), (long) type.blockBytes() << 16);
      byte[] bytes = new byte[(int) pattern];
      new Random(1).nextBytes(bytes);
      MemorySegment.copy(bytes, 0, data, ValueLayout.JAVA_BYTE, 0, bytes.length);
      for (long at = 0; at < pattern; at += type.blockBytes()) {
        data.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, Float.floatToFloat16(2e-4f));
      }
      for (long at = pattern; at < data.byteSize(); at += pattern) {
        MemorySegment.copy(data, 0, data, at, Math.min(pattern, data.byteSize() - at));
      }
    }
    return new TensorData(matrix.name(), type, matrix.outputs(), matrix.inputs(), data);
  }

  @Override
  public void close() {
    while (!owned.isEmpty()) {
      try {
        owned.pop().close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.NullUnmarked;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * Matrix kernels beside what the machine can do at most, measured in the same run: memory read by
 * all threads, fused multiply-adds in registers by all threads. Run with {@code mvn -P kernels -pl
 * runtime/backend-cpu -am test -DskipTests}; {@code -Dkernels.args="-p type=Q8_0 -p rows=1"} and
 * other arguments of JMH choose.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
public class MatmulBenchmark {
  private static final long READ_BYTES = 256L << 20;
  private static final int CHAINS = 10;
  private static final int FMAS = 20_000_000;

  /**
   * A multiplication as a layer of a Llama-3.2-1B has it; several weights, so that none is cached.
   */
  @State(Scope.Benchmark)
  @NullUnmarked
  public static class Multiplication {
    /** Storage type. */
    @Param({"BF16", "Q8_0", "Q4_0", "Q4_K"})
    public TensorType type;

    /** Rows of activations. */
    @Param({"1", "8", "256"})
    public int rows;

    /** Outputs x inputs. */
    @Param({"16384x2048", "2048x8192"})
    public String shape;

    private static final long WEIGHT_BYTES = 200L << 20;

    private Arena arena;
    private ComputePool pool;
    private Matmul matmul;
    private List<CpuWeight> weights;
    private int next;
    private long in;
    private long out;
    private int outs;
    private int cols;

    /** Makes random weights and activations. */
    @Setup(Level.Trial)
    @SuppressWarnings("MustBeClosed") // closed by tearDown
    public void setUp() {
      outs = Integer.parseInt(shape.substring(0, shape.indexOf('x')));
      cols = Integer.parseInt(shape.substring(shape.indexOf('x') + 1));
      arena = Arena.ofShared();
      pool = new ComputePool(Runtime.getRuntime().availableProcessors());
      matmul = new Matmul(pool);
      weights = new ArrayList<>();
      TensorData tensor = RandomWeights.tensor(arena, type, outs, cols, 1);
      for (long bytes = 0; bytes < WEIGHT_BYTES; bytes += tensor.bytes()) {
        TensorData copy =
            new TensorData(
                "w", type, outs, cols, arena.allocate(tensor.bytes(), 64).copyFrom(tensor.data()));
        weights.add(new CpuWeight("w", List.of(copy), () -> {}));
      }
      TensorData activations = RandomWeights.tensor(arena, TensorType.F32, rows, cols, 2);
      in = activations.data().address();
      out = arena.allocate(4L * rows * outs, 64).address();
    }

    private void run() {
      next = (next + 1) % weights.size();
      matmul.multiply(weights.get(next), in, 4L * cols, rows, out, 4L * outs, false);
    }

    /** Ends the threads and frees the memory. */
    @TearDown(Level.Trial)
    public void tearDown() {
      pool.close();
      arena.close();
    }
  }

  /** What the limits are measured with. */
  @State(Scope.Benchmark)
  @NullUnmarked
  public static class Limits {
    private Arena arena;
    private ComputePool pool;
    private long memory;
    private float[] results;

    /** Touches all memory. */
    @Setup(Level.Trial)
    @SuppressWarnings("MustBeClosed") // closed by tearDown
    public void setUp() {
      arena = Arena.ofShared();
      pool = new ComputePool(Runtime.getRuntime().availableProcessors());
      memory = arena.allocate(READ_BYTES, 64).fill((byte) 1).address();
      results = new float[pool.threads()];
    }

    /** Ends the threads and frees the memory. */
    @TearDown(Level.Trial)
    public void tearDown() {
      pool.close();
      arena.close();
    }
  }

  /** A weight times rows of activations. */
  @Benchmark
  public void multiply(Multiplication multiplication) {
    multiplication.run();
  }

  /** Reads {@link #READ_BYTES}, each thread its own share in sequence. */
  @Benchmark
  public float[] readMemory(Limits limits) {
    long share = READ_BYTES / limits.pool.threads() / 256 * 256;
    limits.pool.run(
        limits.pool.threads(),
        (task, thread) -> limits.results[task] = read(limits.memory + task * share, share));
    return limits.results;
  }

  private static float read(long address, long bytes) {
    FloatVector a = FloatVector.zero(Lanes.F);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector d = a;
    int vector = 4 * Lanes.N;
    int step = 4 * vector;
    for (int i = 0; i < (int) (bytes / step); i++) {
      long at = address + (long) step * i;
      a = a.add(FloatVector.fromMemorySegment(Lanes.F, Memory.ALL, at, Memory.ORDER));
      b = b.add(FloatVector.fromMemorySegment(Lanes.F, Memory.ALL, at + vector, Memory.ORDER));
      c = c.add(FloatVector.fromMemorySegment(Lanes.F, Memory.ALL, at + 2L * vector, Memory.ORDER));
      d = d.add(FloatVector.fromMemorySegment(Lanes.F, Memory.ALL, at + 3L * vector, Memory.ORDER));
    }
    return a.add(b).add(c.add(d)).lane(0);
  }

  /** {@link #FMAS} times {@link #CHAINS} independent fused multiply-adds in each thread. */
  @Benchmark
  public float[] multiplyInRegisters(Limits limits) {
    limits.pool.run(
        limits.pool.threads(), (task, thread) -> limits.results[task] = fmas(0.999f + task));
    return limits.results;
  }

  private static float fmas(float factor) {
    FloatVector x = FloatVector.broadcast(Lanes.F, factor);
    FloatVector y = FloatVector.broadcast(Lanes.F, 1e-3f);
    FloatVector a = y;
    FloatVector b = y;
    FloatVector c = y;
    FloatVector d = y;
    FloatVector e = y;
    FloatVector f = y;
    FloatVector g = y;
    FloatVector h = y;
    FloatVector i = y;
    FloatVector j = y;
    for (int k = 0; k < FMAS; k++) {
      a = a.fma(x, y);
      b = b.fma(x, y);
      c = c.fma(x, y);
      d = d.fma(x, y);
      e = e.fma(x, y);
      f = f.fma(x, y);
      g = g.fma(x, y);
      h = h.fma(x, y);
      i = i.fma(x, y);
      j = j.fma(x, y);
    }
    return a.add(b).add(c.add(d)).add(e.add(f)).add(g.add(h).add(i.add(j))).lane(0);
  }

  /**
   * Runs and prints a table.
   *
   * @param args arguments of JMH
   */
  public static void main(String[] args) throws RunnerException, CommandLineOptionException {
    Collection<RunResult> results =
        new Runner(
                new OptionsBuilder()
                    .parent(new CommandLineOptions(args))
                    .include(MatmulBenchmark.class.getName())
                    .build())
            .run();
    int threads = Runtime.getRuntime().availableProcessors();
    double read = Double.NaN;
    double fma = Double.NaN;
    for (RunResult result : results) {
      double seconds = result.getPrimaryResult().getScore() * 1e-6;
      String name = result.getParams().getBenchmark();
      if (name.endsWith(".readMemory")) {
        read = READ_BYTES / threads / 256 * 256 * threads / seconds;
      } else if (name.endsWith(".multiplyInRegisters")) {
        fma = 2.0 * Lanes.N * CHAINS * FMAS * threads / seconds;
      }
    }
    System.out.printf(
        "%n%d threads, %d lanes; at most %.1f GB/s read and %.1f GFLOP/s fused%n",
        threads, Lanes.N, read * 1e-9, fma * 1e-9);
    System.out.println(
        "| type | outputs x inputs | rows | time | GB/s | of most | GFLOP/s | of most |");
    System.out.println("|---|---|---|---|---|---|---|---|");
    for (RunResult result : results) {
      if (!result.getParams().getBenchmark().endsWith(".multiply")) {
        continue;
      }
      TensorType type = TensorType.valueOf(result.getParams().getParam("type"));
      int rows = Integer.parseInt(result.getParams().getParam("rows"));
      String shape = result.getParams().getParam("shape");
      long outs = Long.parseLong(shape.substring(0, shape.indexOf('x')));
      long cols = Long.parseLong(shape.substring(shape.indexOf('x') + 1));
      double seconds = result.getPrimaryResult().getScore() * 1e-6;
      double bytes = type.bytes(cols) * outs / seconds;
      double flops = 2.0 * outs * cols * rows / seconds;
      System.out.printf(
          "| %s | %s | %d | %.3f ms | %.1f | %.0f %% | %.1f | %.0f %% |%n",
          type,
          shape,
          rows,
          seconds * 1e3,
          bytes * 1e-9,
          100 * bytes / read,
          flops * 1e-9,
          100 * flops / fma);
    }
  }
}

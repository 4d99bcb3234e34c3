package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/**
 * Products make no objects for vectors once they are compiled, with weights of every type. Where
 * the compiler does not take all of a kernel they do, and are thirty times slower.
 */
class MatmulAllocationTest {
  private static final int COLS = 512;
  private static final int OUTS = 256;
  private static final int CALLS = 50;

  /** An array for each row of weights: that of table look-ups, which is no vector of sums. */
  private static final long MOST = 128 * OUTS;

  private static final long COMPILED_NANOS = TimeUnit.SECONDS.toNanos(20);

  /**
   * What the other JVM runs: first a prompt, as a server does, since what is compiled depends on
   * what was compiled before.
   */
  static final class Calls {
    private Calls() {}

    @SuppressWarnings("SystemOut")
    public static void main(String[] args) {
      for (TensorType type : TensorType.values()) {
        for (int rows : new int[] {32, 3, 1}) {
          System.out.printf("%d bytes a call: %s, %d rows%n", made(type, rows), type, rows);
        }
      }
    }
  }

  /** Bytes of objects that a call makes, once it makes few or has had the time to be compiled. */
  private static long made(TensorType type, int rows) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (Arena arena = Arena.ofConfined();
        ComputePool pool = new ComputePool(1)) {
      TensorData tensor = RandomWeights.tensor(arena, type, OUTS, COLS, 3);
      CpuWeight weight = new CpuWeight("w", List.of(tensor), () -> {});
      Matmul matmul = new Matmul(pool);
      long in = arena.allocate(4L * rows * COLS, 64).address();
      long out = arena.allocate(4L * rows * OUTS, 64).address();
      long begin = System.nanoTime();
      long made = Long.MAX_VALUE;
      while (made > MOST && System.nanoTime() - begin < COMPILED_NANOS) {
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < CALLS; i++) {
          matmul.multiply(weight, in, 4L * COLS, rows, out, 4L * OUTS, false);
        }
        made = (threads.getCurrentThreadAllocatedBytes() - before) / CALLS;
      }
      return made;
    }
  }

  @Test
  void vectorsAreNoObjects() throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(flag -> flag.startsWith("--") || flag.startsWith("-XX:CompileCommand"))
        .forEach(command::add);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Calls.class.getName()));
    Process jvm = new ProcessBuilder(command).redirectErrorStream(true).start();
    List<String> calls =
        new String(jvm.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
            .lines()
            .filter(line -> line.contains(" bytes a call: "))
            .toList();
    assertThat(jvm.waitFor()).isZero();
    assertThat(calls).hasSize(3 * TensorType.values().length);
    assertThat(calls)
        .allSatisfy(
            call ->
                assertThat(Long.parseLong(call.substring(0, call.indexOf(' '))))
                    .isLessThanOrEqualTo(MOST));
  }
}

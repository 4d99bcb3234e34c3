package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

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

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  /** First a prompt, as a server does: what is compiled depends on what was compiled before. */
  @ParameterizedTest
  @EnumSource
  void vectorsAreNoObjects(TensorType type) {
    makesNoObjects(type, 32);
    makesNoObjects(type, 3);
    makesNoObjects(type, 1);
  }

  private void makesNoObjects(TensorType type, int rows) {
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
      assertThat(made).as("bytes of objects a call of %d rows", rows).isLessThanOrEqualTo(MOST);
    }
  }
}

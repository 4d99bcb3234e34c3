package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.PolicyShape;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A step that is run from its recording makes next to no objects, once its code is compiled: not on
 * the engine's thread, not on those that compute or read. Of the policies whose kernels the
 * compiler keeps free of vectors as objects; decision 148 says which it does not, and what is left.
 * What it keeps so depends on all that was compiled before, so that this runs in a JVM of its own,
 * with {@code -Dkvdrive.allocations=true}.
 */
public abstract class StepAllocationConformance extends EngineTest {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private static final int PROMPT = 300;
  private static final int COUNTED = 200;
  private static final int CONTEXT = 2_048;

  /** Bytes of a step: a chunk that closes takes frames, a large angle a few numbers. */
  private static final int LEFT = 1_500;

  /** As long as the compiler has not seen all code often enough, a step still makes objects. */
  private static final int SEQUENCES = 12;

  static List<PolicyShape> policies() {
    return List.of(
        PolicyShape.KVDRIVE_PAPER_FLAT, PolicyShape.QUEST.withDenseLayers(1), PolicyShape.SHADOWKV);
  }

  @ParameterizedTest
  @MethodSource("policies")
  @EnabledIfSystemProperty(named = "kvdrive.allocations", matches = "true")
  void aStepMakesHardlyAnyObjects(PolicyShape policy) {
    EngineShape shape =
        EngineShape.roomy(0.2)
            .withType(KvType.BF16)
            .withContext(CONTEXT)
            .withPolicy(policy)
            .with(1, true);
    long least = Long.MAX_VALUE;
    try (ForwardPass pass = new ForwardPass(device, model, settings(shape))) {
      for (int sequence = 0; sequence < SEQUENCES && least > COUNTED * LEFT; sequence++) {
        pass.prefill(0, prompt(sequence, PROMPT));
        int position = PROMPT;
        while (position + COUNTED < CONTEXT && least > COUNTED * LEFT) {
          least = Math.min(least, allocated(pass));
          position += COUNTED;
        }
        pass.leave(0);
      }
    }
    assertThat(least).as("bytes of %d steps", COUNTED).isLessThanOrEqualTo(COUNTED * LEFT);
  }

  private static long allocated(ForwardPass pass) {
    long[] threads = THREADS.getAllThreadIds();
    long before = sum(threads);
    long of = sum(threads) - before; // what counting takes
    long from = sum(threads);
    for (int step = 0; step < COUNTED; step++) {
      pass.run(0, 3 + step % 20);
    }
    return sum(threads) - from - of;
  }

  private static long sum(long[] threads) {
    return Arrays.stream(THREADS.getThreadAllocatedBytes(threads)).sum();
  }
}

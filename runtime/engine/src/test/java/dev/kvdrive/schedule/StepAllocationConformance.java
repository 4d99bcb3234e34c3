package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.SummaryFormat;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A step that is run from its recording makes next to no objects, once its code is compiled: not on
 * the engine's thread, not on those that compute or read. What is left is counted by {@link #LEFT}.
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

  /** What a model with a calibration gets. */
  private static final PolicyShape FITTED =
      PolicyShape.KVDRIVE.withIndex(
          new IndexShape(
              SummaryFormat.bitPlanes(BitPlaneSummary.WORD), ClusterFormat.of(16).inNibbles()));

  static List<PolicyShape> policies() {
    return Stream.concat(Stream.of(FITTED), PolicyShape.all().stream()).toList();
  }

  @ParameterizedTest
  @MethodSource("policies")
  void aStepMakesHardlyAnyObjects(PolicyShape policy) {
    EngineShape shape =
        EngineShape.roomy(policy.selects() ? 0.2 : 1)
            .withType(KvType.BF16)
            .withContext(CONTEXT)
            .withPolicy(policy)
            .with(1, true);
    long least = Long.MAX_VALUE;
    try (ForwardPass pass =
        new ForwardPass(device, model, settings(shape).withCalibration(calibration()))) {
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

  /** Leaves keys as they are. */
  private IndexCalibration calibration() {
    ModelGeometry of = model.geometry();
    int dim = of.headDim();
    float[] same = new float[dim * dim];
    float[] ones = new float[dim];
    for (int i = 0; i < dim; i++) {
      same[i * dim + i] = 1;
      ones[i] = 1;
    }
    KeyTransform head = new KeyTransform(new float[dim], same, same, ones);
    return new IndexCalibration(
        "none", Collections.nCopies(of.layers(), Collections.nCopies(of.kvHeads(), head)));
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

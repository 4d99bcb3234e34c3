package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Selection;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ReferenceTransformer;
import dev.kvdrive.plan.KvType;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Invariant 2: exact mode equals dense attention. Logits are those of Hugging Face transformers for
 * every architecture, through prefill and through decode; for sequences long enough to go through
 * all tiers they are those of the reference transformer, which is held to the same goldens.
 */
public abstract class ForwardPassConformance extends EngineTest {
  static List<Golden> goldens() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void goldenLogitsComeFromPrefillAndFromDecode(Golden golden) {
    EngineShape shape = EngineShape.roomy(1).withSeats(2).withBlock(13);
    try (Model golded = golden.open();
        ForwardPass pass =
            new ForwardPass(device, golded, shape.settings(golded.geometry(), device, directory))) {
      int[] tokens = golden.tokens();
      // Seat 1: all but the last few at once; seat 0: one token, then token by token.
      for (int length : new int[] {1, 12, 13, 14, tokens.length}) {
        float[] logits = pass.prefill(1, Arrays.copyOf(tokens, length));
        assertThat(golden.relativeError(length - 1, logits))
            .as("logits after a prompt of %d tokens", length)
            .isLessThan(Golden.TOLERANCE);
        pass.leave(1);
      }
      pass.prefill(0, tokens[0]);
      for (int t = 1; t < tokens.length; t++) {
        float[] logits = pass.step(new int[] {0}, new int[] {tokens[t]})[0];
        assertThat(golden.relativeError(t, logits))
            .as("logits of the step at position %d", t)
            .isLessThan(Golden.TOLERANCE);
      }
      pass.leave(0);
    }
  }

  @Test
  void longSequencesInExactModeAreDense() {
    int[] tokens = prompt(77, 250);
    double[][] dense = new ReferenceTransformer(model).logits(tokens);
    for (EngineShape shape :
        List.of(
            EngineShape.roomy(1),
            EngineShape.tight(1),
            EngineShape.tight(1).with(true, true).withBlock(7).withExtents(3),
            EngineShape.tight(1).withSeats(1).withWindow(1, 1).withBlock(256))) {
      try (ForwardPass pass = new ForwardPass(device, model, settings(shape))) {
        int prompt = 190;
        assertDense(dense, prompt - 1, pass.prefill(0, Arrays.copyOf(tokens, prompt)));
        assertThat(pass.quanta)
            .isEqualTo(2 * Math.ceilDiv(prompt, settings(shape).sizes().prefillBlock()));
        for (int t = prompt; t < tokens.length; t++) {
          assertDense(dense, t, pass.step(new int[] {0}, new int[] {tokens[t]})[0]);
        }
        pass.leave(0);
        if (shape.frames() == 0) {
          assertThat(pass.counters[Selection.NVME_COUNTER]).as("%s", shape).isPositive();
        }
        assertThat(pass.counters[Selection.FAULT_COUNTER]).isZero();
      }
    }
  }

  @Test
  void chunksOfHalfPrecisionAreTheSameInPrefillAndDecodeAndNearDense() {
    int[] tokens = prompt(78, 200);
    double[][] dense = new ReferenceTransformer(model).logits(tokens);
    try (ForwardPass pass =
        new ForwardPass(device, model, settings(EngineShape.tight(1).withType(KvType.BF16)))) {
      pass.prefill(1, Arrays.copyOf(tokens, 150));
      for (int t = 150; t < tokens.length; t++) {
        float[] stepped = pass.step(new int[] {1}, new int[] {tokens[t]})[0];
        assertThat(error(dense[t], stepped)).as("rounded keys").isBetween(1e-4, 0.1);
        if (t % 10 == 0) {
          float[] prefilled = pass.prefill(0, Arrays.copyOf(tokens, t + 1));
          assertThat(error(dense(prefilled), stepped)).isLessThan(Golden.TOLERANCE);
          pass.leave(0);
        }
      }
      pass.leave(1);
    }
  }

  private static double[] dense(float[] logits) {
    double[] wide = new double[logits.length];
    Arrays.setAll(wide, i -> logits[i]);
    return wide;
  }

  @Test
  void sequencesOfOneBatchDoNotSeeEachOther() {
    int[][] tokens = {prompt(1, 120), prompt(2, 180), prompt(3, 90)};
    double[][][] dense = new double[3][][];
    for (int i = 0; i < 3; i++) {
      dense[i] = new ReferenceTransformer(model).logits(tokens[i]);
    }
    try (ForwardPass pass =
        new ForwardPass(device, model, settings(EngineShape.tight(1).with(true, true)))) {
      int[] length = {70, 130, 3};
      int[] seats = {2, 0, 1};
      for (int i = 0; i < 3; i++) {
        float[] logits = pass.prefill(seats[i], Arrays.copyOf(tokens[i], length[i]));
        assertDense(dense[i], length[i] - 1, logits);
      }
      for (int round = 0; round < 40; round++) {
        // Batches of one, two and three sequences, in changing rows.
        int rows = 1 + round % 3;
        int[] batch = new int[rows];
        int[] next = new int[rows];
        for (int row = 0; row < rows; row++) {
          int sequence = (round + row) % 3;
          batch[row] = seats[sequence];
          next[row] = tokens[sequence][length[sequence]];
        }
        float[][] logits = pass.step(batch, next);
        for (int row = 0; row < rows; row++) {
          int sequence = (round + row) % 3;
          assertDense(dense[sequence], length[sequence]++, logits[row]);
        }
      }
      for (int seat : seats) {
        pass.leave(seat);
      }
    }
  }

  @Test
  void aSeatIsAsNewForTheNextSequence() {
    try (ForwardPass pass = new ForwardPass(device, model, settings(EngineShape.tight(1)))) {
      for (int round = 0; round < 5; round++) {
        int[] tokens = prompt(50 + round, 60 + 31 * round);
        double[][] dense = new ReferenceTransformer(model).logits(tokens);
        int prompt = tokens.length - 10;
        assertDense(dense, prompt - 1, pass.prefill(1, Arrays.copyOf(tokens, prompt)));
        for (int t = prompt; t < tokens.length; t++) {
          assertDense(dense, t, pass.step(new int[] {1}, new int[] {tokens[t]})[0]);
        }
        pass.leave(1);
      }
    }
  }

  private static void assertDense(double[][] dense, int position, float[] logits) {
    assertThat(error(dense[position], logits))
        .as("error at position %d", position)
        .isLessThan(Golden.TOLERANCE);
  }

  /** Largest difference, relative to the largest logit. */
  private static double error(double[] expected, float[] actual) {
    double largest = 0;
    double error = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = Math.abs(expected[i] - actual[i]);
      error = difference >= error || Double.isNaN(difference) ? difference : error;
      largest = Math.max(largest, Math.abs(expected[i]));
      if (Double.isNaN(error)) {
        return error;
      }
    }
    return error / largest;
  }
}

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
 * all tiers they are those of the reference transformer, which is held to the same goldens. How
 * near they must be depends on the device's activations: {@link LogitCheck}.
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
      LogitCheck check = new LogitCheck(device, golded.spec().layers());
      // Seat 1: all but the last few at once; seat 0: one token, then token by token.
      for (int length : new int[] {1, 12, 13, 14, tokens.length}) {
        float[] logits = pass.prefill(1, Arrays.copyOf(tokens, length));
        check.row(
            "logits after a prompt of %d tokens".formatted(length),
            golden.logits()[length - 1],
            logits);
        pass.leave(1);
      }
      pass.prefill(0, tokens[0]);
      for (int t = 1; t < tokens.length; t++) {
        float[] logits = pass.step(new int[] {0}, new int[] {tokens[t]})[0];
        check.row("logits of the step at position %d".formatted(t), golden.logits()[t], logits);
      }
      pass.leave(0);
      check.whole(golden.toString());
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
            EngineShape.tight(1).with(1, true).withBlock(7).withExtents(3),
            EngineShape.tight(1).withSeats(1).withWindow(1, 1).withBlock(256))) {
      try (ForwardPass pass = new ForwardPass(device, model, settings(shape))) {
        int prompt = 190;
        LogitCheck check = check();
        check.row("prompt", dense[prompt - 1], pass.prefill(0, Arrays.copyOf(tokens, prompt)));
        assertThat(pass.quanta)
            .isEqualTo(2 * Math.ceilDiv(prompt, settings(shape).sizes().prefillBlock()));
        for (int t = prompt; t < tokens.length; t++) {
          check.row("position " + t, dense[t], pass.step(new int[] {0}, new int[] {tokens[t]})[0]);
        }
        pass.leave(0);
        check.whole(shape.toString());
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
      LogitCheck check = check();
      pass.prefill(1, Arrays.copyOf(tokens, 150));
      for (int t = 150; t < tokens.length; t++) {
        float[] stepped = pass.step(new int[] {1}, new int[] {tokens[t]})[0];
        assertThat(error(dense[t], stepped))
            .as("rounded keys")
            .isBetween(1e-4, Math.max(0.1, check.largest()));
        if (t % 10 == 0) {
          float[] prefilled = pass.prefill(0, Arrays.copyOf(tokens, t + 1));
          check.row("prefill and decode", prefilled, stepped);
          pass.leave(0);
        }
      }
      pass.leave(1);
      check.whole("prefill and decode");
    }
  }

  @Test
  void sequencesOfOneBatchDoNotSeeEachOther() {
    int[][] tokens = {prompt(1, 120), prompt(2, 180), prompt(3, 90)};
    double[][][] dense = new double[3][][];
    for (int i = 0; i < 3; i++) {
      dense[i] = new ReferenceTransformer(model).logits(tokens[i]);
    }
    try (ForwardPass pass =
        new ForwardPass(device, model, settings(EngineShape.tight(1).with(1, true)))) {
      LogitCheck check = check();
      int[] length = {70, 130, 3};
      int[] seats = {2, 0, 1};
      for (int i = 0; i < 3; i++) {
        float[] logits = pass.prefill(seats[i], Arrays.copyOf(tokens[i], length[i]));
        check.row("prompt " + i, dense[i][length[i] - 1], logits);
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
          check.row(
              "round " + round + ", sequence " + sequence,
              dense[sequence][length[sequence]++],
              logits[row]);
        }
      }
      check.whole("batches");
      for (int seat : seats) {
        pass.leave(seat);
      }
    }
  }

  @Test
  void aSeatIsAsNewForTheNextSequence() {
    try (ForwardPass pass = new ForwardPass(device, model, settings(EngineShape.tight(1)))) {
      LogitCheck check = check();
      for (int round = 0; round < 5; round++) {
        int[] tokens = prompt(50 + round, 60 + 31 * round);
        double[][] dense = new ReferenceTransformer(model).logits(tokens);
        int prompt = tokens.length - 10;
        check.row(
            "prompt " + round, dense[prompt - 1], pass.prefill(1, Arrays.copyOf(tokens, prompt)));
        for (int t = prompt; t < tokens.length; t++) {
          check.row("position " + t, dense[t], pass.step(new int[] {1}, new int[] {tokens[t]})[0]);
        }
        pass.leave(1);
      }
      check.whole("one seat");
    }
  }

  private LogitCheck check() {
    return new LogitCheck(device, model.spec().layers());
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

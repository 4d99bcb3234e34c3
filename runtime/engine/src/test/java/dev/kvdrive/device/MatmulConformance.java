package dev.kvdrive.device;

import dev.kvdrive.model.tensor.TensorType;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Matrix products with weights of every type, for one row and for many. */
public abstract class MatmulConformance extends DeviceConformance {
  private final SplittableRandom random = new SplittableRandom(6);

  private enum Kind {
    MATMUL,
    ADD,
    LOGITS
  }

  /**
   * Rows up to which the device under test multiplies with weights of a type as they are stored,
   * and sums each row in the same order whatever rows are beside it.
   */
  protected int exactRows(TensorType type) {
    return subject.device.bitExact() ? Integer.MAX_VALUE : 0;
  }

  private float[] gaussians(int count) {
    return LayerContents.gaussians(random, count, activations());
  }

  @ParameterizedTest
  @EnumSource
  void multipliesWithWeightsOfAnyType(TensorType type) {
    for (int rows : new int[] {1, 2, 3, 8, 17}) {
      compare(rows, Blocks.random(random, type, 45, 512));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1",
    "1, 1, 32",
    "2, 3, 32",
    "1, 129, 96",
    "5, 64, 64",
    "9, 33, 160",
    "16, 32, 2048",
    "64, 31, 96",
    "1, 1000, 256",
    "33, 257, 320",
    "24, 48, 4096",
    "40, 70, 1056",
    "64, 130, 512",
    "65, 130, 512",
    "200, 517, 96"
  })
  void multipliesShapesThatNoTileDivides(int rows, int outputs, int inputs) {
    compare(rows, Blocks.random(random, TensorType.F32, outputs, inputs));
    compare(rows, Blocks.random(random, TensorType.BF16, outputs, inputs));
    if (inputs % 32 == 0) {
      compare(rows, Blocks.random(random, TensorType.Q8_0, outputs, inputs));
      compare(rows, Blocks.random(random, TensorType.Q4_0, outputs, inputs));
    }
  }

  @Test
  void multipliesStackedPartsOfDifferentTypes() {
    compare(
        3,
        Blocks.random(random, TensorType.Q6_K, 48, 256),
        Blocks.random(random, TensorType.Q4_K, 16, 256),
        Blocks.random(random, TensorType.F16, 17, 256));
    for (int rows : new int[] {1, 11, 70}) {
      compare(
          rows,
          Blocks.random(random, TensorType.Q8_0, 21, 256),
          Blocks.random(random, TensorType.Q8_0, 10, 256),
          Blocks.random(random, TensorType.BF16, 9, 256),
          Blocks.random(random, TensorType.Q4_0, 35, 256),
          Blocks.random(random, TensorType.Q8_0, 3, 256));
    }
  }

  /** Wide enough that devices may divide the work in other ways. */
  @ParameterizedTest
  @CsvSource({"4000, 96", "12100, 64", "16, 9248"})
  void multipliesLargeMatrices(int outputs, int inputs) {
    for (int rows : new int[] {1, 9, 32, 50, 80}) {
      compare(rows, Blocks.random(random, TensorType.Q8_0, outputs, inputs));
      compare(rows, Blocks.random(random, TensorType.Q4_0, outputs, inputs));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "Q8_0", "Q4_0"})
  void multipliesRowsThatLieAnywhere(TensorType type) {
    int rows = 5;
    int inputs = 96;
    Blocks weight = Blocks.random(random, type, 40, inputs);
    float[] in = gaussians(rows * inputs);
    float[] spread = new float[1 + rows * (inputs + 3)];
    float[] absolute = new float[in.length];
    for (int i = 0; i < in.length; i++) {
      spread[1 + i / inputs * (inputs + 3) + i % inputs] = in[i];
      absolute[i] = Math.abs(in[i]);
    }
    float[] none = new float[rows * 40];
    float[] sums = multiply(oracle, Kind.LOGITS, rows, absolute, none, weight.absolute());
    float[] expected = multiply(oracle, Kind.LOGITS, rows, in, none, weight);
    Rig.Rows flat = subject.rows("in", 1, spread.length, spread);
    Activations all = flat.view();
    Activations view = new Activations(all.buffer(), all.type(), all.offset() + 1, inputs + 3);
    Rig.Rows out = subject.empty("out", rows, 40, ElementType.F32);
    subject
        .ops
        .tensor()
        .logits(
            subject.queue,
            new TensorOperations.Product(subject.weight("weight", weight), view, rows, out.view()));
    assertSums(type.name(), subject.read(out), expected, sums, SUMMATION + weights(), 0x1p-23);
  }

  private void compare(int rows, Blocks... weight) {
    int inputs = weight[0].cols();
    int outputs = Arrays.stream(weight).mapToInt(Blocks::rows).sum();
    float[] in = gaussians(rows * inputs);
    float[] before = gaussians(rows * outputs);
    float[] absolute = new float[in.length];
    for (int i = 0; i < in.length; i++) {
      absolute[i] = Math.abs(in[i]);
    }
    Blocks[] positive = Arrays.stream(weight).map(Blocks::absolute).toArray(Blocks[]::new);
    float[] sums = multiply(oracle, Kind.LOGITS, rows, absolute, before, positive);
    for (Kind kind : Kind.values()) {
      float[] expected = multiply(oracle, kind, rows, in, before, weight);
      float[] actual = multiply(subject, kind, rows, in, before, weight);
      String what = "%s of %d rows, %s".formatted(kind, rows, weight[0].type());
      boolean exact = Arrays.stream(weight).allMatch(part -> rows <= exactRows(part.type()));
      // A library may round a product before it adds it.
      double early = kind == Kind.ADD && activations() != ElementType.F32 ? rounding() : 0;
      double share = SUMMATION + (exact ? 0 : weights() + early);
      assertSums(what, actual, expected, sums, share, kind == Kind.LOGITS ? 0x1p-23 : rounding());
    }
  }

  private static float[] multiply(
      Rig rig, Kind kind, int rows, float[] in, float[] before, Blocks... blocks) {
    Weight weight = rig.weight("weight", blocks);
    Rig.Rows x = rig.rows("in", rows, weight.cols(), in);
    ElementType type = kind == Kind.LOGITS ? ElementType.F32 : rig.device.activationType();
    Rig.Rows out =
        kind == Kind.ADD
            ? rig.rows("out", rows, weight.rows(), before)
            : rig.empty("out", rows, weight.rows(), type);
    switch (kind) {
      case MATMUL ->
          rig.ops
              .tensor()
              .matmul(rig.queue, new TensorOperations.Product(weight, x.view(), rows, out.view()));
      case ADD ->
          rig.ops
              .tensor()
              .matmulAdd(
                  rig.queue, new TensorOperations.Product(weight, x.view(), rows, out.view()));
      case LOGITS ->
          rig.ops
              .tensor()
              .logits(rig.queue, new TensorOperations.Product(weight, x.view(), rows, out.view()));
    }
    float[] result = rig.read(out);
    rig.freeAll();
    return result;
  }

  @ParameterizedTest
  @EnumSource
  void aRowIsTheSameWhateverRowsItIsMultipliedWith(TensorType type) {
    Blocks weight = Blocks.random(random, type, 100, 256);
    int rows = 19;
    float[] in = gaussians(rows * 256);
    float[] absolute = new float[in.length];
    for (int i = 0; i < in.length; i++) {
      absolute[i] = Math.abs(in[i]);
    }
    float[] none = new float[rows * 100];
    float[] sums = multiply(oracle, Kind.LOGITS, rows, absolute, none, weight.absolute());
    Rig alike = alike();
    for (Kind kind : Kind.values()) {
      float[] all = multiply(subject, kind, rows, in, none, weight);
      assertUnchanged(
          "another device of the kind", multiply(alike, kind, rows, in, none, weight), all, sums);
      for (int from = 0, count = 1; from < rows; from += count, count++) {
        int some = Math.min(count, rows - from);
        float[] part =
            multiply(
                subject,
                kind,
                some,
                Arrays.copyOfRange(in, 256 * from, 256 * (from + some)),
                new float[100 * some],
                weight);
        assertUnchanged(
            "%s of rows %d to %d".formatted(kind, from, from + some),
            part,
            Arrays.copyOfRange(all, 100 * from, 100 * (from + some)),
            Arrays.copyOfRange(sums, 100 * from, 100 * (from + some)));
      }
    }
  }

  /** Whatever is computed beside a row, and whichever way the work is divided for it. */
  @ParameterizedTest
  @CsvSource({
    "Q8_0, 100, 4128",
    "Q8_0, 4000, 96",
    "Q8_0, 12000, 544",
    "Q4_0, 100, 4128",
    "Q4_0, 4000, 96",
    "Q4_0, 12000, 160",
    "BF16, 100, 256"
  })
  void aRowHasTheSameBitsWhereverItStands(TensorType type, int outputs, int inputs) {
    int rows = Math.min(exactRows(type), 70);
    Assumptions.assumeTrue(rows > 1, "the device promises nothing of " + type);
    Blocks weight = Blocks.random(random, type, outputs, inputs);
    float[] in = gaussians(rows * inputs);
    float[] before = gaussians(rows * outputs);
    for (Kind kind : Kind.values()) {
      float[] all = multiply(subject, kind, rows, in, before, weight);
      for (int count : new int[] {1, 2, 7, 8, 9, 16, 17, 24, 32, 33}) {
        int from = count * 5 % (rows - count + 1);
        assertSameBits(
            "%s of rows %d to %d".formatted(kind, from, from + count),
            multiply(
                subject,
                kind,
                count,
                Arrays.copyOfRange(in, inputs * from, inputs * (from + count)),
                Arrays.copyOfRange(before, outputs * from, outputs * (from + count)),
                weight),
            Arrays.copyOfRange(all, outputs * from, outputs * (from + count)));
      }
    }
  }
}

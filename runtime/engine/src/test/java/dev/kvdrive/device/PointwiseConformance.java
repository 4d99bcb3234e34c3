package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Embedding, norms, biases, rotation, gate, and the choice of tokens. */
public abstract class PointwiseConformance extends DeviceConformance {
  private final SplittableRandom random = new SplittableRandom(5);

  private float[] gaussians(int count) {
    return LayerContents.gaussians(random, count, activations());
  }

  private static float[] absolute(float[] values) {
    float[] out = new float[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = Math.abs(values[i]);
    }
    return out;
  }

  @ParameterizedTest
  @EnumSource
  void embedsRowsOfTablesOfAnyType(TensorType type) {
    Blocks table = Blocks.random(random, type, 37, 512);
    int[] tokens = {36, 0, -1, 5, 36, Integer.MIN_VALUE, 17};
    Rig.Rows actual = embed(subject, table, 1, tokens);
    Rig.Rows expected = embed(oracle, table, 1, tokens);
    float[] values = oracle.read(expected);
    assertSums(
        "embedding",
        subject.read(actual),
        values,
        largestOfBlock(values, type.blockElements()),
        0x1p-21,
        rounding());
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "Q4_0"})
  void multipliesWhatItEmbeds(TensorType type) {
    Blocks table = Blocks.random(random, type, 9, 96);
    int[] tokens = {8, -1, 0};
    float[] expected = oracle.read(embed(oracle, table, 54.5f, tokens));
    float[] actual = subject.read(embed(subject, table, 54.5f, tokens));
    // Rounded as the table is held, and once more as an activation.
    assertSums(
        "embedding times 54.5",
        actual,
        expected,
        largestOfBlock(expected, type.blockElements()),
        0x1p-21,
        2.01 * rounding());
  }

  /** For each element the largest of its block: scale and minimum are of that order. */
  private static float[] largestOfBlock(float[] values, int block) {
    float[] largest = new float[values.length];
    for (int from = 0; from < values.length; from += block) {
      float max = 0;
      for (int i = from; i < from + block; i++) {
        max = Math.max(max, Math.abs(values[i]));
      }
      Arrays.fill(largest, from, from + block, max);
    }
    return largest;
  }

  private static Rig.Rows embed(Rig rig, Blocks table, float factor, int... tokens) {
    Rig.Rows out = rig.empty("out", tokens.length, table.cols());
    rig.ops
        .tensor()
        .embed(
            rig.queue,
            new TensorOperations.Embed(
                rig.weight("table", table),
                rig.ints("tokens", tokens),
                factor,
                tokens.length,
                out.view()));
    return out;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 8, 63, 64, 100, 960, 4096})
  void normsRows(int width) {
    float[] in = gaussians(5 * width);
    Arrays.fill(in, width, 2 * width, 0);
    float[] gain = gaussians(width);
    float[] expected = norm(oracle, in, gain, width, false);
    assertSums("norm", norm(subject, in, gain, width, false), expected, absolute(expected));
    assertSums("norm in place", norm(subject, in, gain, width, true), expected, absolute(expected));
  }

  private static float[] norm(Rig rig, float[] in, float[] gain, int width, boolean inPlace) {
    Rig.Rows x = rig.rows("in", 5, width, in);
    Rig.Rows out = inPlace ? x : rig.empty("out", 5, width);
    rig.ops
        .tensor()
        .rmsNorm(
            rig.queue,
            new TensorOperations.RmsNorm(
                x.view(), rig.vector("gain", gain), 1e-6f, 5, width, out.view()));
    return rig.read(out);
  }

  @Test
  void aNormOfLargeAndSmallValuesNeitherOverflowsNorVanishes() {
    float[] in = gaussians(2 * 64);
    for (int i = 0; i < 64; i++) {
      in[i] *= 0x1p40f;
      in[64 + i] *= 0x1p-40f;
    }
    float[] gain = gaussians(64);
    float[] expected = new float[2 * 64];
    float[] actual = new float[2 * 64];
    for (int rigs = 0; rigs < 2; rigs++) {
      Rig rig = rigs == 0 ? oracle : subject;
      Rig.Rows x = rig.rows("in", 2, 64, in);
      rig.ops
          .tensor()
          .rmsNorm(
              rig.queue,
              new TensorOperations.RmsNorm(
                  x.view(), rig.vector("gain", gain), 1e-20f, 2, 64, x.view()));
      System.arraycopy(rig.read(x), 0, rigs == 0 ? expected : actual, 0, expected.length);
    }
    assertSums("norm", actual, expected, absolute(expected));
  }

  @ParameterizedTest
  @CsvSource({"1, 64", "3, 96", "8, 128", "5, 7"})
  void normsEachHeadOnItsOwn(int heads, int headDim) {
    float[] in = gaussians(4 * heads * headDim);
    float[] gain = gaussians(headDim);
    float[] expected = headNorm(oracle, in, gain, heads);
    assertSums("head norm", headNorm(subject, in, gain, heads), expected, absolute(expected));
  }

  private static float[] headNorm(Rig rig, float[] in, float[] gain, int heads) {
    Rig.Rows x = rig.rows("x", 4, heads * gain.length, in);
    rig.ops
        .tensor()
        .headNorm(
            rig.queue,
            new TensorOperations.HeadNorm(x.view(), rig.vector("gain", gain), 1e-6f, 4, heads));
    return rig.read(x);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 64, 130})
  void addsBiases(int width) {
    float[] in = gaussians(3 * width);
    float[] bias = gaussians(width);
    float[] expected = addBias(oracle, in, bias);
    assertRounded("bias", addBias(subject, in, bias), expected, rounding());
  }

  private static float[] addBias(Rig rig, float[] in, float[] bias) {
    Rig.Rows x = rig.rows("x", 3, bias.length, in);
    rig.ops
        .tensor()
        .addBias(rig.queue, new TensorOperations.Bias(rig.vector("bias", bias), x.view(), 3));
    return rig.read(x);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 64, 130})
  void addsRows(int width) {
    float[] x = gaussians(3 * width);
    float[] to = gaussians(3 * width);
    assertRounded("sum", add(subject, x, to, width), add(oracle, x, to, width), rounding());
  }

  private static float[] add(Rig rig, float[] x, float[] to, int width) {
    Rig.Rows out = rig.rows("out", 3, width, to);
    rig.ops
        .tensor()
        .add(
            rig.queue,
            new TensorOperations.Sum(rig.rows("x", 3, width, x).view(), 3, width, out.view()));
    return rig.read(out);
  }

  @Test
  void aMagnitudeThatGrowsStepsAtEachPeriod() {
    RopeSpec spec =
        new RopeSpec(new float[] {0f, 0.5f}, 1.25f, false, new RopeSpec.Growth(0.1f, 16_384));
    int[] positions = {0, 16_383, 16_384, 32_767, 32_768, 262_143};
    float[][] expected = rotate(oracle, spec, positions, gaussians(6 * 3 * 4), 4);
    float[][] actual = rotate(subject, spec, positions, gaussians(6 * 3 * 4), 4);
    float[] magnitude = new float[expected[0].length];
    Arrays.fill(magnitude, 2);
    assertSums("angles", actual[0], expected[0], magnitude, 0x1p-23, 0x1p-22);
    double[] steps = {1, 1, 1 + 0.1 * Math.log(2), 1 + 0.1 * Math.log(2), 1 + 0.1 * Math.log(3)};
    for (int i = 0; i < steps.length; i++) {
      // The first pair does not turn: its cosine is the magnitude.
      assertThat(expected[0][4 * i]).isCloseTo((float) (1.25 * steps[i]), within(1e-6f));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void rotatesWhatIsToBeRotatedAndLeavesTheRest(boolean interleaved) {
    for (int[] shape : new int[][] {{64, 32}, {96, 48}, {96, 24}, {128, 64}, {10, 3}}) {
      int headDim = shape[0];
      float[] frequencies = new float[shape[1]];
      for (int i = 0; i < frequencies.length; i++) {
        frequencies[i] = (float) Math.pow(500_000, -(double) i / frequencies.length);
      }
      RopeSpec spec = new RopeSpec(frequencies, 1.19f, interleaved);
      int[] positions = {0, 1, 4095, 131_071, 1_048_575};
      float[] in = gaussians(5 * 3 * headDim);
      float[][] expected = rotate(oracle, spec, positions, in, headDim);
      float[][] actual = rotate(subject, spec, positions, in, headDim);
      // The angle is exact to one rounding, which is as much as a cosine near zero can show.
      float[] one = new float[expected[0].length];
      Arrays.fill(one, spec.magnitude());
      assertSums("angles", actual[0], expected[0], one, 0x1p-23, 0x1p-22);
      assertSums("rotated", actual[1], expected[1], pairs(spec, in, headDim));
      for (int i = 0; i < in.length; i++) {
        if (i % headDim >= spec.rotaryDim()) {
          assertThat(actual[1][i]).as("element %d is not rotated", i).isEqualTo(in[i]);
        }
      }
    }
  }

  /** For each element the sum of its pair's absolute values. */
  private static float[] pairs(RopeSpec spec, float[] in, int headDim) {
    float[] sums = new float[in.length];
    int pairs = spec.inverseFrequencies().length;
    for (int head = 0; head < in.length; head += headDim) {
      for (int i = 0; i < pairs; i++) {
        int a = head + (spec.interleaved() ? 2 * i : i);
        int b = head + (spec.interleaved() ? 2 * i + 1 : i + pairs);
        sums[a] = spec.magnitude() * (Math.abs(in[a]) + Math.abs(in[b]));
        sums[b] = sums[a];
      }
    }
    return sums;
  }

  private static float[][] rotate(
      Rig rig, RopeSpec spec, int[] positions, float[] in, int headDim) {
    DeviceBuffer angles = rig.allocate("angles", 4L * positions.length * spec.rotaryDim());
    rig.ops
        .tensor()
        .angles(
            rig.queue,
            new TensorOperations.Angles(
                spec, rig.ints("positions", positions), positions.length, angles));
    Rig.Rows x = rig.rows("x", positions.length, 3 * headDim, in);
    rig.ops
        .tensor()
        .rotate(
            rig.queue,
            new TensorOperations.Rotation(spec, angles, x.view(), positions.length, 3, headDim));
    return new float[][] {rig.readFloats(angles), rig.read(x)};
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 9, 64, 515})
  void multipliesWithTheGate(int width) {
    float[] gate = gaussians(3 * width);
    float[] up = gaussians(3 * width);
    gate[0] = 80;
    if (width > 8) {
      gate[1] = -80;
      gate[2] = 0;
      gate[3] = -1e4f;
      gate[4] = 1e4f;
    }
    for (int i = 0; i < 3 * width; i++) {
      gate[i] = Bfloat16.widen(Bfloat16.round(gate[i]));
    }
    float[] expected = gate(oracle, gate, up, width, false);
    float[] sums = new float[expected.length];
    for (int i = 0; i < sums.length; i++) {
      // An exponential that would vanish may be cut off where it is nothing against the product.
      sums[i] = Math.abs(expected[i]) + 0x1p-80f * Math.abs(gate[i] * up[i]);
    }
    for (boolean inPlace : new boolean[] {false, true}) {
      float[] actual = gate(subject, gate, up, width, inPlace);
      assertSums("gated", actual, expected, sums);
    }
  }

  private static float[] gate(Rig rig, float[] gate, float[] up, int width, boolean inPlace) {
    Rig.Rows g = rig.rows("gate", 3, width, gate);
    Rig.Rows u = rig.rows("up", 3, width, up);
    Rig.Rows out = inPlace ? g : rig.empty("out", 3, width);
    rig.ops
        .tensor()
        .siluMultiply(
            rig.queue, new TensorOperations.Gating(g.view(), u.view(), 3, width, out.view()));
    return rig.read(out);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 63, 1000, 32_001})
  void findsTheLargestLogitAndTheLowestIndexAmongEquals(int width) {
    float[] logits = LayerContents.gaussians(random, 6 * width, ElementType.F32);
    Arrays.fill(logits, width, 2 * width, -3f);
    Arrays.fill(logits, 2 * width, 3 * width, Float.NEGATIVE_INFINITY);
    logits[3 * width + width - 1] = 1e30f;
    logits[4 * width + width / 2] = 50;
    logits[4 * width + width - 1] = 50;
    logits[5 * width + width / 3] = Float.POSITIVE_INFINITY;
    assertThat(argmax(subject, logits, width)).containsExactly(argmax(oracle, logits, width));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 63, 1000, 32_001})
  void aRowWithANanHasNoLargestLogitWhereverItIs(int width) {
    float[] logits = LayerContents.gaussians(random, 6 * width, ElementType.F32);
    logits[0] = Float.NaN;
    logits[width + width / 2] = Float.NaN;
    logits[2 * width + width - 1] = Float.NaN;
    Arrays.fill(logits, 3 * width, 4 * width, -Float.NaN);
    logits[4 * width + width / 3] = Float.intBitsToFloat(0xffc0_0001);
    if (width > 1) {
      logits[4 * width + width - 1] = Float.POSITIVE_INFINITY;
    }
    assertThat(argmax(oracle, logits, width)).startsWith(-1, -1, -1, -1, -1);
    assertThat(argmax(subject, logits, width)).containsExactly(argmax(oracle, logits, width));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 63, 1000, 32_001, 128_256})
  void drawsTheTokenThatTheSamplingSays(int width) {
    float[] logits = LayerContents.gaussians(random, 6 * width, ElementType.F32);
    for (int i = 0; i < logits.length; i++) {
      // The rows of one half have ties, the others hardly any.
      logits[i] = i / width % 2 == 0 ? Math.round(4 * logits[i]) : 3 * logits[i];
    }
    int[] sampling = new int[0];
    for (int row = 0; row < 6; row++) {
      float[] of = Arrays.copyOfRange(logits, row * width, (row + 1) * width);
      int[] words;
      do {
        words =
            sampling(
                0.3f + random.nextFloat(),
                row < 2 ? 0 : 1 + random.nextInt(Math.min(width, row < 4 ? 64 : 2 * width)),
                row % 3 == 0 ? 1 : 0.5f + 0.5f * random.nextFloat(),
                row == 1 || row == 4 ? 0.2f * random.nextFloat() : 0,
                random.nextLong());
      } while (!sure(of, words));
      sampling = concatenated(sampling, words);
    }
    assertThat(chosen(subject, logits, width, sampling))
        .containsExactly(chosen(oracle, logits, width, sampling));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 32_001})
  void nothingIsDrawnWhereALogitIsNoNumber(int width) {
    float[] logits = LayerContents.gaussians(random, 6 * width, ElementType.F32);
    logits[width / 2] = Float.NaN;
    logits[width + width - 1] = Float.POSITIVE_INFINITY;
    logits[2 * width] = Float.NEGATIVE_INFINITY;
    int[] sampling = new int[0];
    for (int row = 0; row < 6; row++) {
      sampling = concatenated(sampling, sampling(1, row % 2 * 40, row < 4 ? 1 : 0.9f, 0, row));
    }
    int[] found = chosen(subject, logits, width, sampling);
    assertThat(found).startsWith(-1, -1, -1);
    assertThat(Arrays.stream(found).skip(3)).allMatch(token -> token >= 0 && token < width);
  }

  private static int[] sampling(float temperature, int topK, float topP, float minP, long draw) {
    int[] words = new int[RowSampling.BYTES / 4];
    RowSampling.write(MemorySegment.ofArray(words), 0, temperature, topK, topP, minP, draw);
    return words;
  }

  private static int[] concatenated(int[] first, int[] second) {
    int[] all = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, all, first.length, second.length);
    return all;
  }

  /** Whether the choice stays what it is where weights or the draw are a little off. */
  private static boolean sure(float[] logits, int[] words) {
    TokenChoice choice = TokenChoice.of(logits, words);
    for (int sign = -1; sign <= 1; sign += 2) {
      int[] other = words.clone();
      for (int share : new int[] {RowSampling.TOP_P / 4, RowSampling.MIN_P / 4}) {
        float x = Float.intBitsToFloat(words[share]);
        other[share] = Float.floatToRawIntBits(x == 1 ? 1 : x * (1 + sign * 1e-5f));
      }
      if (!TokenChoice.of(logits, other).weights().equals(choice.weights())) {
        return false;
      }
      // The upper half of the draw: a hundred thousandth of all.
      long draw = Integer.toUnsignedLong(words[RowSampling.DRAW / 4 + 1]) + sign * 43_000L;
      other[RowSampling.DRAW / 4 + 1] = (int) Math.clamp(draw, 0, 0xffff_ffffL);
      if (TokenChoice.of(logits, other).token() != choice.token()) {
        return false;
      }
    }
    return true;
  }

  private static int[] argmax(Rig rig, float[] logits, int width) {
    return chosen(rig, logits, width, new int[6 * RowSampling.BYTES / 4]);
  }

  private static int[] chosen(Rig rig, float[] logits, int width, int[] sampling) {
    Rig.Rows x = rig.rows("logits", 6, width, logits, ElementType.F32);
    DeviceBuffer out = rig.ints("chosen", -7, -7, -7, -7, -7, -7, -7);
    DeviceBuffer how = rig.ints("sampling", sampling);
    rig.ops.tensor().choose(rig.queue, new TensorOperations.Choice(x.view(), 6, width, how, out));
    int[] found = rig.readInts(out);
    assertThat(found[6]).as("behind the rows").isEqualTo(-7);
    return Arrays.copyOf(found, 6);
  }
}

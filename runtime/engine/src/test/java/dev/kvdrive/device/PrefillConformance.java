package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A prompt in blocks: stored, attended, its chunks closed, its sink and ring seeded. */
public abstract class PrefillConformance extends DeviceConformance {
  static List<LayerSizes> sizes() {
    return LayerSizes.formats();
  }

  static List<LayerSizes> closing() {
    return Stream.concat(sizes().stream(), LayerSizes.int8().stream()).toList();
  }

  /** A prompt of one layer on a device. */
  private static final class Prompt {
    final Rig rig;
    final LayerOnDevice layer;
    final PrefillScratch scratch;
    final int width;
    final int keyWidth;

    Prompt(Rig rig, LayerContents contents) {
      this.rig = rig;
      layer = new LayerOnDevice(rig, contents);
      KvLayout layout = contents.layout;
      int elements = 2 * layout.kvHeads() * contents.sizes.maxTokens() * layout.headDim();
      float[] nothing = new float[elements];
      Arrays.fill(nothing, Float.NaN);
      scratch =
          new PrefillScratch(
              contents.sizes.maxTokens(),
              rig.buffer("scratch", Rig.bytes(nothing, contents.type())));
      width = contents.sizes.heads() * contents.sizes.headDim();
      keyWidth = contents.sizes.kvHeads() * contents.sizes.headDim();
    }

    void store(float[] keys, float[] values, int start, int rows) {
      store(keys, values, start, rows, 0);
    }

    void store(float[] keys, float[] values, int start, int rows, int closing) {
      Rig.Rows k = rig.rows("keys", rows, keyWidth, rows(keys, keyWidth, start, rows));
      Rig.Rows v = rig.rows("values", rows, keyWidth, rows(values, keyWidth, start, rows));
      rig.ops
          .kv()
          .store(
              rig.queue,
              new KvOperations.Store(
                  layer.layer, scratch, start, rows, closing, k.view(), v.view()));
    }

    float[] attend(float[] queries, int start, int rows) {
      Rig.Rows q = rig.rows("query", rows, width, rows(queries, width, start, rows));
      Rig.Rows out = rig.empty("out", rows, width);
      rig.ops
          .attention()
          .causal(
              rig.queue,
              new AttentionOperations.Causal(
                  layer.layer, layer.sizes.shape(), scratch, q.view(), start, rows, out.view()));
      return rig.read(out);
    }

    /** Stores and attends a prompt block by block. */
    float[] run(float[] queries, float[] keys, float[] values, int block) {
      int tokens = queries.length / width;
      float[] out = new float[queries.length];
      for (int start = 0; start < tokens; start += block) {
        int rows = Math.min(block, tokens - start);
        store(keys, values, start, rows);
        float[] part = attend(queries, start, rows);
        System.arraycopy(part, 0, out, start * width, part.length);
      }
      return out;
    }
  }

  private static float[] rows(float[] all, int width, int start, int rows) {
    return Arrays.copyOfRange(all, start * width, (start + rows) * width);
  }

  private static float[] absolute(float[] values) {
    float[] out = new float[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = Math.abs(values[i]);
    }
    return out;
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void attendsEachTokenToThoseBeforeItHoweverThePromptIsCut(LayerSizes sizes) {
    LayerContents contents = new LayerContents(sizes, activations(), 50);
    int tokens = 107;
    float[] queries = contents.gaussians(tokens * sizes.heads() * sizes.headDim(), activations());
    float[] keys = contents.gaussians(tokens * sizes.kvHeads() * sizes.headDim(), activations());
    float[] values = contents.gaussians(keys.length, activations());
    float[] expected = new Prompt(oracle, contents).run(queries, keys, values, tokens);
    float[] sums = new Prompt(oracle, contents).run(queries, keys, absolute(values), tokens);
    double error = scoreError(sizes, queries, keys);
    double weights = activations() == ElementType.F32 ? 0 : 0x1p-8;
    double share = SUMMATION + 2 * error + weights + (sizes.type() == KvType.F32 ? 0 : 0x1p-20);
    float[] whole = new Prompt(subject, contents).run(queries, keys, values, tokens);
    assertSums("attention of the prompt in one block", whole, expected, sums, share, rounding());
    Rig alike = alike();
    for (int block : new int[] {1, 7, 64}) {
      float[] cut =
          new Prompt(block == 64 ? alike : subject, contents).run(queries, keys, values, block);
      if (subject.device.bitExact()) {
        assertSameBits("attention in blocks of " + block, cut, whole);
      } else {
        assertSums("attention in blocks of " + block, cut, expected, sums, share, rounding());
      }
      subject.freeAll();
    }
  }

  private static double scoreError(LayerSizes sizes, float[] queries, float[] keys) {
    return SUMMATION
        * sizes.shape().scale()
        * norm(queries, sizes.headDim())
        * norm(keys, sizes.headDim());
  }

  private static double norm(float[] rows, int dim) {
    double largest = 0;
    for (int from = 0; from < rows.length; from += dim) {
      double sum = 0;
      for (int i = 0; i < dim; i++) {
        sum += (double) rows[from + i] * rows[from + i];
      }
      largest = Math.max(largest, sum);
    }
    return Math.sqrt(largest);
  }

  @ParameterizedTest
  @MethodSource("closing")
  void closesChunksAndSeedsSinkAndRing(LayerSizes sizes) {
    int seat = 4;
    for (int closed : new int[] {0, 1, 7, 8, 9, 63, 65}) {
      LayerContents contents = new LayerContents(sizes, activations(), 60 + closed);
      int tokens =
          closed == 0
              ? 3
              : ChunkGrid.PAPER.firstToken(closed) + ChunkGrid.PAPER.local() + closed % 8;
      int width = sizes.kvHeads() * sizes.headDim();
      float[] keys = contents.gaussians(tokens * width, activations());
      float[] values = contents.gaussians(tokens * width, activations());
      int[] frames = contents.shuffled(contents.frameOfExtent.length);
      List<Prompt> prompts = new ArrayList<>();
      for (Rig rig : List.of(subject, oracle)) {
        Prompt prompt = new Prompt(rig, contents);
        prompts.add(prompt);
        KvLayer layer = prompt.layer.layer;
        rig.write(layer.frameOfExtent(), Rig.bytes(frames));
        prompt.store(keys, values, 0, tokens);
        // Cut where blocks and frames would cut it.
        int half = closed / 2;
        prompt.layer.close(prompt.scratch, seat, 0, half);
        prompt.layer.close(prompt.scratch, seat, half, closed);
        rig.ops.kv().seed(rig.queue, new KvOperations.Seed(layer, prompt.scratch, seat, tokens));
      }
      LayerOnDevice actual = prompts.getFirst().layer;
      LayerOnDevice expected = prompts.getLast().layer;
      assertThat(subject.read(prompts.getFirst().scratch.buffer()))
          .as("scratch of %d chunks", closed)
          .isEqualTo(oracle.read(prompts.getLast().scratch.buffer()));
      assertThat(actual.frameBytes())
          .as("frames of %d chunks", closed)
          .isEqualTo(expected.frameBytes());
      assertThat(subject.read(actual.layer.dense()))
          .as("sink and ring after %d chunks", closed)
          .isEqualTo(oracle.read(expected.layer.dense()));
      assertThat(actual.summaries())
          .as("summaries of %d chunks", closed)
          .isEqualTo(expected.summaries());
      subject.freeAll();
      oracle.freeAll();
    }
  }

  /** And what is closed of what was recalled is what was closed first: nothing drifts. */
  @ParameterizedTest
  @MethodSource("closing")
  void chunksThatAreRecalledAreAsTheyWereStored(LayerSizes sizes) {
    int seat = 3;
    for (int closed : new int[] {1, 8, 65}) {
      LayerContents contents = new LayerContents(sizes, activations(), 80 + closed);
      ChunkGrid grid = ChunkGrid.PAPER;
      int end = grid.firstToken(closed);
      int tokens = end + grid.local() + closed % 8;
      int width = sizes.kvHeads() * sizes.headDim();
      float[] keys = contents.gaussians(tokens * width, activations());
      float[] values = contents.gaussians(tokens * width, activations());
      Arrays.fill(values, 5 * width, 5 * width + sizes.headDim(), 0); // a row of nothing
      int[] frames = contents.shuffled(contents.frameOfExtent.length);
      Prompt stored = new Prompt(subject, contents);
      Prompt expected = new Prompt(oracle, contents);
      for (Prompt prompt : List.of(stored, expected)) {
        prompt.rig.write(prompt.layer.layer.frameOfExtent(), Rig.bytes(frames));
        int half = tokens / 2;
        prompt.store(keys, values, 0, half, end);
        prompt.store(keys, values, half, tokens - half, end);
        prompt.layer.close(prompt.scratch, seat, 0, closed);
      }
      byte[] bytes = subject.read(stored.scratch.buffer());
      assertThat(bytes).as("stored").isEqualTo(oracle.read(expected.scratch.buffer()));
      assertThat(stored.layer.frameBytes()).isEqualTo(expected.layer.frameBytes());
      Prompt recalled = new Prompt(subject, contents);
      subject.write(recalled.layer.layer.frameOfExtent(), Rig.bytes(frames));
      subject.write(recalled.scratch.buffer(), bytes);
      // What comes back must come from the frames.
      recalled.store(new float[end * width], new float[end * width], 0, end, 0);
      recalled.store(keys, values, 0, grid.sink(), 0);
      int cut = closed / 3;
      FramePool pool = stored.layer.frames;
      for (int[] part : new int[][] {{0, cut}, {cut, closed}}) {
        subject
            .ops
            .kv()
            .recall(
                subject.queue,
                new KvOperations.Recall(
                    new PromptChunks(
                        recalled.layer.layer, recalled.scratch, seat, part[0], part[1]),
                    pool));
      }
      assertThat(subject.read(recalled.scratch.buffer())).as("recalled").isEqualTo(bytes);
      recalled.layer.close(recalled.scratch, seat, 0, closed);
      assertThat(recalled.layer.frameBytes())
          .as("closed again")
          .isEqualTo(stored.layer.frameBytes());
      subject.freeAll();
      oracle.freeAll();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {69, 76, 77, 140})
  void aPromptAndItsTokensOneByOneLeaveTheSame(int tokens) {
    aPromptAndItsTokensLeaveTheSame(LayerSizes.groups().get(2).withRows(1), tokens);
    aPromptAndItsTokensLeaveTheSame(LayerSizes.int8().get(4).withRows(1), tokens);
  }

  private void aPromptAndItsTokensLeaveTheSame(LayerSizes sizes, int tokens) {
    LayerContents contents = new LayerContents(sizes, activations(), 70);
    int seat = 7;
    int width = sizes.kvHeads() * sizes.headDim();
    float[] keys = contents.gaussians(tokens * width, activations());
    float[] values = contents.gaussians(tokens * width, activations());
    int[] frames = contents.shuffled(contents.frameOfExtent.length);
    Prompt prompt = new Prompt(subject, contents);
    KvLayer whole = prompt.layer.layer;
    subject.write(whole.frameOfExtent(), Rig.bytes(frames));
    prompt.store(keys, values, 0, tokens);
    prompt.layer.close(prompt.scratch, seat, 0, ChunkGrid.PAPER.closedChunks(tokens));
    subject
        .ops
        .kv()
        .seed(subject.queue, new KvOperations.Seed(whole, prompt.scratch, seat, tokens));
    LayerOnDevice single = new LayerOnDevice(subject, contents);
    subject.write(single.layer.frameOfExtent(), Rig.bytes(frames));
    for (int token = 0; token < tokens; token++) {
      AppendConformance.append(
          single,
          new int[] {seat},
          new int[] {token},
          rows(keys, width, token, 1),
          rows(values, width, token, 1));
    }
    assertThat(prompt.layer.frameBytes()).isEqualTo(single.frameBytes());
    assertThat(prompt.layer.summaries()).isEqualTo(single.summaries());
    // The ring of a sequence that grew still has tokens that have left it; compare what is in it.
    float[] a = Rig.floats(subject.read(whole.dense()), sizes.type());
    float[] b = Rig.floats(subject.read(single.layer.dense()), sizes.type());
    for (int i = 0; i < a.length; i++) {
      if (!Float.isNaN(a[i])) {
        assertThat(b[i]).as("element %d", i).isEqualTo(a[i]);
      }
    }
  }

  @Test
  void attendsTokenByTokenWithLargeScores() {
    LayerSizes sizes = LayerSizes.groups().get(1);
    LayerContents contents = new LayerContents(sizes, activations(), 71);
    SplittableRandom random = new SplittableRandom(71);
    int tokens = 40;
    float[] queries = contents.gaussians(tokens * sizes.heads() * sizes.headDim(), activations());
    for (int i = 0; i < queries.length; i++) {
      queries[i] *= 64;
    }
    float[] keys = contents.gaussians(tokens * sizes.kvHeads() * sizes.headDim(), activations());
    float[] values = LayerContents.gaussians(random, keys.length, activations());
    float[] expected = new Prompt(oracle, contents).run(queries, keys, values, tokens);
    float[] sums = new Prompt(oracle, contents).run(queries, keys, absolute(values), tokens);
    float[] actual = new Prompt(subject, contents).run(queries, keys, values, tokens);
    double weights = activations() == ElementType.F32 ? 0 : 0x1p-8;
    assertSums(
        "attention",
        actual,
        expected,
        sums,
        SUMMATION + 2 * scoreError(sizes, queries, keys) + weights,
        rounding());
  }

  /** Dense attention of the newest token of a seat with the query of a row. */
  static float[] attendLast(Rig rig, LayerContents contents, int row, int seat) {
    LayerSizes sizes = contents.sizes;
    Prompt prompt = new Prompt(rig, contents);
    int tokens = contents.tokens(seat);
    int dim = sizes.headDim();
    float[] keys = new float[tokens * prompt.keyWidth];
    float[] values = new float[keys.length];
    for (int token = 0; token < tokens; token++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int to = token * prompt.keyWidth + head * dim;
        System.arraycopy(contents.keys[seat][head], token * dim, keys, to, dim);
        System.arraycopy(contents.values[seat][head], token * dim, values, to, dim);
      }
    }
    prompt.store(keys, values, 0, tokens);
    Rig.Rows q = rig.rows("query", 1, prompt.width, rows(contents.query, prompt.width, row, 1));
    Rig.Rows out = rig.empty("out", 1, prompt.width);
    rig.ops
        .attention()
        .causal(
            rig.queue,
            new AttentionOperations.Causal(
                prompt.layer.layer,
                sizes.shape(),
                prompt.scratch,
                q.view(),
                tokens - 1,
                1,
                out.view()));
    float[] result = rig.read(out);
    rig.freeAll();
    return result;
  }
}

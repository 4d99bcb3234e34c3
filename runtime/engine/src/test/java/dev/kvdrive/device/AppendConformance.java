package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.TwoBitSummary;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Sequences grow token by token: sink and ring hold what was appended, chunks that close lie in
 * their frames and summaries in the index.
 */
public abstract class AppendConformance extends DeviceConformance {
  static List<LayerSizes> sizes() {
    return Stream.concat(LayerSizes.formats().stream(), LayerSizes.int8().stream())
        .map(s -> s.withRows(4))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void growingSequencesLeaveWhatTheOracleLeaves(LayerSizes sizes) {
    // Seats that differ from rows, an unused row in the middle, and chunks that close in some rows
    // while others are still in the sink.
    int[] start = {0, 3, 40, 75};
    int[] seats = {6, 2, -1, 9};
    int[] tokens = new int[sizes.seats()];
    for (int row = 0; row < 4; row++) {
      if (seats[row] >= 0) {
        tokens[seats[row]] = start[row];
      }
    }
    LayerContents contents = new LayerContents(sizes, activations(), 11, tokens);
    LayerOnDevice actual = prepared(subject, contents);
    LayerOnDevice expected = prepared(oracle, contents);
    int width = sizes.kvHeads() * sizes.headDim();
    for (int step = 0; step < 100; step++) {
      float[] keys = contents.gaussians(4 * width, activations());
      float[] values = contents.gaussians(4 * width, activations());
      int[] positions = new int[4];
      for (int row = 0; row < 4; row++) {
        positions[row] = start[row] + step;
      }
      append(actual, seats, positions, keys, values);
      append(expected, seats, positions, keys, values);
    }
    assertSameState(actual, expected);
  }

  /** With frames for all extents, as the host would have provided them. */
  private static LayerOnDevice prepared(Rig rig, LayerContents contents) {
    contents.provideFrames();
    return new LayerOnDevice(rig, contents);
  }

  static void append(
      LayerOnDevice layer, int[] seats, int[] positions, float[] keys, float[] values) {
    Rig rig = layer.rig;
    int width = layer.sizes.kvHeads() * layer.sizes.headDim();
    rig.write(layer.batch.seats(), Rig.bytes(seats));
    rig.write(layer.batch.positions(), Rig.bytes(positions));
    Rig.Rows k = rig.rows("keys", seats.length, width, keys);
    Rig.Rows v = rig.rows("values", seats.length, width, values);
    layer.append(k.view(), v.view());
    rig.queue.synchronize();
    k.view().buffer().close();
    v.view().buffer().close();
  }

  private void assertSameState(LayerOnDevice actual, LayerOnDevice expected) {
    assertThat(subject.read(actual.layer.dense()))
        .as("sink and ring")
        .isEqualTo(oracle.read(expected.layer.dense()));
    assertThat(actual.frameBytes()).as("frames").isEqualTo(expected.frameBytes());
    assertThat(actual.summaries()).as("summaries").isEqualTo(expected.summaries());
  }

  static List<LayerSizes> twoBit() {
    return LayerSizes.groups().stream().map(s -> s.withRows(4)).toList();
  }

  @ParameterizedTest
  @MethodSource("twoBit")
  void aSummaryIsAsNearToTheRotatedKeysAsItsStepsAllow(LayerSizes sizes) {
    LayerContents contents = new LayerContents(sizes.withRows(1), activations(), 14);
    LayerOnDevice layer = prepared(subject, contents);
    LayerOnDevice expected = prepared(oracle, contents);
    int dim = sizes.headDim();
    int width = sizes.kvHeads() * dim;
    int tokens = LayerSizes.GRID.firstToken(1) + LayerSizes.GRID.local();
    float[][] keys = new float[tokens][];
    for (int token = 0; token < tokens; token++) {
      keys[token] = contents.gaussians(width, activations());
      // Rows with one large element, without any, and with hardly any size.
      int kind = token % 8;
      for (int i = 0; i < width; i++) {
        keys[token][i] =
            switch (kind) {
              case 1 -> i % dim == 5 ? -1000 : keys[token][i];
              case 2 -> 0;
              case 3 -> Math.scalb(Math.signum(keys[token][i]), -110);
              case 4 -> Math.abs(keys[token][i]);
              case 5 -> i % 2 == 0 ? 4 : -4;
              default -> keys[token][i];
            };
      }
      append(layer, new int[] {7}, new int[] {token}, keys[token], keys[token]);
      append(expected, new int[] {7}, new int[] {token}, keys[token], keys[token]);
    }
    assertThat(layer.summaries()).isEqualTo(expected.summaries());
    MemorySegment index = MemorySegment.ofArray(layer.summaries());
    int block = TwoBitSummary.of(contents.layout).rotationBlock();
    for (int head = 0; head < sizes.kvHeads(); head++) {
      for (int t = 0; t < 8; t++) {
        float[] key = keys[LayerSizes.GRID.firstToken(0) + t];
        int from = head * dim;
        double[] held =
            new ReferenceSummary.TwoBit(TwoBitSummary.of(contents.layout))
                .key(index, contents.summaryAt(7, head, 0), t);
        double[] rotated = new double[dim];
        double largest = 0;
        for (int i = 0; i < dim; i++) {
          rotated[i] = ReferenceSummary.TwoBit.rotated(block, j -> key[from + j], i);
          largest = Math.max(largest, Math.abs(rotated[i]));
        }
        // Half a step of 3/8 of the largest element inside of two steps, 7/16 of it at the ends; a
        // bf16 step and sums in F32.
        double error = largest * 0x1p-8 + 0x1p-90;
        for (int i = 0; i < dim; i++) {
          double bound = Math.abs(rotated[i]) <= 0.75 * largest ? 0.1875 : 0.4375;
          assertThat(block * held[i])
              .as("head %d token %d element %d", head, t, i)
              .isCloseTo(rotated[i], within(bound * largest + error));
        }
      }
    }
  }

  @Test
  void anInt8RowIsWithinHalfAStepOfWhatWasComputed() {
    for (LayerSizes all : LayerSizes.int8()) {
      LayerSizes sizes = all.withRows(1);
      LayerContents contents = new LayerContents(sizes, activations(), 15);
      LayerOnDevice layer = prepared(subject, contents);
      LayerOnDevice expected = prepared(oracle, contents);
      int dim = sizes.headDim();
      int width = sizes.kvHeads() * dim;
      int tokens = LayerSizes.GRID.firstToken(1) + LayerSizes.GRID.local();
      float[][] keys = new float[tokens][];
      for (int token = 0; token < tokens; token++) {
        keys[token] = contents.gaussians(width, ElementType.BF16);
        int kind = token % 8;
        for (int i = 0; i < width; i++) {
          keys[token][i] =
              switch (kind) {
                case 1 -> i % dim == dim - 1 ? -1000 : keys[token][i];
                case 2 -> 0;
                case 3 -> Math.scalb(Math.signum(keys[token][i]), -110);
                case 4 -> Math.scalb(keys[token][i], 100);
                case 5 -> i % 2 == 0 ? 4 : -4;
                case 6 -> Math.scalb(keys[token][i], -98);
                default -> keys[token][i];
              };
        }
        append(layer, new int[] {7}, new int[] {token}, keys[token], keys[token]);
        append(expected, new int[] {7}, new int[] {token}, keys[token], keys[token]);
      }
      assertThat(layer.frameBytes()).isEqualTo(expected.frameBytes());
      MemorySegment frames = MemorySegment.ofArray(layer.frameBytes());
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int at = contents.chunkInFrame(contents.frameOfExtent[contents.extentAt(7, head, 0)], 0);
        for (int t = 0; t < LayerSizes.GRID.chunk(); t++) {
          float[] key =
              Arrays.copyOfRange(
                  keys[LayerSizes.GRID.firstToken(0) + t], head * dim, (head + 1) * dim);
          double largest = 0;
          for (float element : key) {
            largest = Math.max(largest, Math.abs(element));
          }
          // Half a step, which has eight bits itself.
          double error = largest / ChunkLayout.MOST * (0.5 + 0x1p-8) + 0x1p-100;
          for (int half = 0; half < 2; half++) {
            long from = at + (long) half * contents.layout.backing().valueOffset();
            for (int i = 0; i < dim; i++) {
              assertThat(
                      ReferenceChunk.read(contents.layout.backing(), frames, from, t, i) - key[i])
                  .as("%s: head %d token %d element %d", sizes, head, t, i)
                  .isCloseTo(0f, within((float) error));
            }
          }
        }
      }
      subject.freeAll();
      oracle.freeAll();
    }
  }

  @Test
  void onlyWhatBelongsToTheRowsIsWritten() {
    LayerSizes sizes = sizes().getFirst();
    LayerContents contents = new LayerContents(sizes, activations(), 12, 76, 76, 76, 76);
    LayerOnDevice layer = prepared(subject, contents);
    byte[] dense = subject.read(layer.layer.dense());
    byte[] frames = layer.frameBytes();
    byte[] index = subject.read(layer.layer.index().memory());
    int width = sizes.kvHeads() * sizes.headDim();
    float[] kv = contents.gaussians(4 * width, activations());
    append(layer, new int[] {-1, -1, -1, -1}, new int[] {75, 75, 75, 75}, kv, kv);
    assertThat(subject.read(layer.layer.dense())).isEqualTo(dense);
    assertThat(layer.frameBytes()).isEqualTo(frames);
    assertThat(subject.read(layer.layer.index().memory())).isEqualTo(index);
  }

  @Test
  void changedFramesAreWrittenWhereverTheyBelongAndNothingElseIs() {
    for (int count : new int[] {0, 1, 127, 128, 500}) {
      int[] before = new int[1000];
      Arrays.setAll(before, i -> -i);
      int[] changes = new int[1000];
      int[] expected = before.clone();
      for (int i = 0; i < count; i++) {
        int index = (i * 37 + 11) % before.length;
        changes[2 * i] = index;
        changes[2 * i + 1] = i % 3 == 0 ? -1 : 7 * i;
        expected[index] = changes[2 * i + 1];
      }
      for (Rig rig : List.of(subject, oracle)) {
        DeviceBuffer table = rig.ints("frame of extent", before);
        DeviceBuffer pairs = rig.ints("changes", changes);
        rig.ops.kv().place(rig.queue, new KvOperations.Place(table, pairs, count));
        assertThat(rig.readInts(table)).as("%d changes", count).isEqualTo(expected);
      }
    }
  }

  @Test
  void aResetSeatIsEmptyAndItsNeighboursAreNot() {
    LayerSizes sizes = sizes().get(1);
    LayerContents contents = new LayerContents(sizes, activations(), 13, 200, 200, 200);
    for (int seat = 0; seat < 3; seat++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        contents.resident(seat, head, 4, 9, 0.5f);
        contents.resident(seat, head, sizes.windowSlots(seat, head) - 1, 0, 0.25f);
      }
    }
    Arrays.setAll(contents.lastUse, i -> i);
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    for (LayerOnDevice layer : List.of(actual, expected)) {
      layer.rig.ops.kv().reset(layer.rig.queue, new KvOperations.Reset(layer.layer, 1));
    }
    KvLayer a = actual.layer;
    KvLayer e = expected.layer;
    assertThat(subject.readInts(a.window().slotOfChunk()))
        .isEqualTo(oracle.readInts(e.window().slotOfChunk()));
    assertThat(subject.readInts(a.window().chunkOfSlot()))
        .isEqualTo(oracle.readInts(e.window().chunkOfSlot()));
    assertThat(subject.readInts(a.lastUse())).isEqualTo(oracle.readInts(e.lastUse()));
    assertThat(subject.readInts(a.frameOfExtent())).isEqualTo(contents.frameOfExtent);
  }
}

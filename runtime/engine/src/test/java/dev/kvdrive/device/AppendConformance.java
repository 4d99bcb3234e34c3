package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.KvType;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Sequences grow token by token: sink and ring hold what was appended, chunks that close lie in
 * their frames and representatives in the index.
 */
public abstract class AppendConformance extends DeviceConformance {
  static List<LayerSizes> sizes() {
    return LayerSizes.groups().stream().map(s -> s.withRows(4)).toList();
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
    assertSameState(actual, expected, contents);
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
    rig.ops.append(rig.queue, layer.batch, layer.layer, layer.frames, k.view(), v.view());
    rig.queue.synchronize();
    k.view().buffer().close();
    v.view().buffer().close();
  }

  private void assertSameState(
      LayerOnDevice actual, LayerOnDevice expected, LayerContents contents) {
    assertThat(subject.read(actual.layer.dense()))
        .as("sink and ring")
        .isEqualTo(oracle.read(expected.layer.dense()));
    assertThat(actual.frameBytes()).as("frames").isEqualTo(expected.frameBytes());
    assertRepresentatives(actual, expected, contents.type());
  }

  /** A mean of eight keys, summed in F32 in any order and rounded once. */
  void assertRepresentatives(LayerOnDevice actual, LayerOnDevice expected, KvType type) {
    float[] want = expected.representatives();
    float[] sums = new float[want.length];
    Arrays.fill(sums, 8);
    assertSums(
        "representatives",
        actual.representatives(),
        want,
        sums,
        0x1p-23,
        type == KvType.F32 ? 0x1p-23 : 0x1p-7);
  }

  @Test
  void onlyWhatBelongsToTheRowsIsWritten() {
    LayerSizes sizes = sizes().getFirst();
    LayerContents contents = new LayerContents(sizes, activations(), 12, 76, 76, 76, 76);
    LayerOnDevice layer = prepared(subject, contents);
    byte[] dense = subject.read(layer.layer.dense());
    byte[] frames = layer.frameBytes();
    byte[] index = subject.read(layer.layer.representatives());
    int width = sizes.kvHeads() * sizes.headDim();
    float[] kv = contents.gaussians(4 * width, activations());
    append(layer, new int[] {-1, -1, -1, -1}, new int[] {75, 75, 75, 75}, kv, kv);
    assertThat(subject.read(layer.layer.dense())).isEqualTo(dense);
    assertThat(layer.frameBytes()).isEqualTo(frames);
    assertThat(subject.read(layer.layer.representatives())).isEqualTo(index);
  }

  @Test
  void aResetSeatIsEmptyAndItsNeighboursAreNot() {
    LayerSizes sizes = sizes().get(1);
    LayerContents contents = new LayerContents(sizes, activations(), 13, 200, 200, 200);
    for (int seat = 0; seat < 3; seat++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        contents.resident(seat, head, 4, 9, 0.5f);
        contents.resident(seat, head, sizes.windowSlots()[head] - 1, 0, 0.25f);
      }
    }
    Arrays.setAll(contents.lastUse, i -> i);
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    for (LayerOnDevice layer : List.of(actual, expected)) {
      layer.rig.ops.resetSeat(layer.rig.queue, layer.layer, 1);
    }
    KvLayer a = actual.layer;
    KvLayer e = expected.layer;
    assertThat(subject.readInts(a.slotOfChunk())).isEqualTo(oracle.readInts(e.slotOfChunk()));
    assertThat(subject.readInts(a.chunkOfSlot())).isEqualTo(oracle.readInts(e.chunkOfSlot()));
    assertThat(subject.readFloats(a.attentionOfSlot()))
        .isEqualTo(oracle.readFloats(e.attentionOfSlot()));
    assertThat(subject.readInts(a.lastUse())).isEqualTo(oracle.readInts(e.lastUse()));
    assertThat(subject.readInts(a.frameOfExtent())).isEqualTo(contents.frameOfExtent);
  }
}

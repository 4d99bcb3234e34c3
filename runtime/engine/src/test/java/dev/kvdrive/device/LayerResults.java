package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;

/** What the integer arrays of a layer and its workspaces contain at one moment. */
final class LayerResults {
  private final LayerSizes sizes;
  final int[] selected;
  final int[] selectedCount;
  final int[] slots;
  final int[] misses;
  final int[] missCount;
  final int[] counters;
  final int[] slotOfChunk;
  final int[] chunkOfSlot;
  final int[] lastUse;
  final float[] keyOfSlot;
  final int[] usesOfSlot;

  LayerResults(LayerOnDevice layer) {
    Rig rig = layer.rig;
    sizes = layer.sizes;
    selected = rig.readInts(layer.selection.selected());
    selectedCount = rig.readInts(layer.selection.selectedCount());
    slots = rig.readInts(layer.selection.slots());
    misses = rig.readInts(layer.selection.misses());
    missCount = rig.readInts(layer.selection.missCount());
    counters = rig.readInts(layer.selection.counters());
    slotOfChunk = rig.readInts(layer.layer.window().slotOfChunk());
    chunkOfSlot = rig.readInts(layer.layer.window().chunkOfSlot());
    lastUse = rig.readInts(layer.layer.lastUse());
    keyOfSlot = rig.readFloats(layer.layer.window().keyOfSlot());
    usesOfSlot = rig.readInts(layer.layer.window().usesOfSlot());
  }

  /** Selected chunks of a (row, KV head). */
  int[] selected(int row, int head) {
    int cell = row * sizes.kvHeads() + head;
    int from = cell * sizes.maxChunks();
    return Arrays.copyOfRange(selected, from, from + selectedCount[cell]);
  }

  /** The first {@code count} slots of a (row, KV head). */
  int[] slots(int row, int head, int count) {
    int from = (row * sizes.kvHeads() + head) * sizes.passChunks();
    return Arrays.copyOfRange(slots, from, from + count);
  }

  /** Misses of a (row, KV head). */
  int[] misses(int row, int head) {
    int cell = row * sizes.kvHeads() + head;
    int from = cell * sizes.passChunks();
    return Arrays.copyOfRange(misses, from, from + missCount[cell]);
  }

  int counter(int row, int counter) {
    return counters[row * Selection.COUNTERS + counter];
  }

  /** Checks maps, slots, misses and counters after a pass, of which nothing may differ. */
  void assertSameAs(LayerResults expected, LayerContents c, int pass) {
    String of = " in pass " + pass + " of " + sizes;
    assertThat(slotOfChunk).as("slot of chunk" + of).isEqualTo(expected.slotOfChunk);
    assertThat(chunkOfSlot).as("chunk of slot" + of).isEqualTo(expected.chunkOfSlot);
    assertThat(keyOfSlot).as("attention of slot" + of).isEqualTo(expected.keyOfSlot);
    assertThat(usesOfSlot).as("uses of slot" + of).isEqualTo(expected.usesOfSlot);
    assertThat(counters).as("counters" + of).isEqualTo(expected.counters);
    assertThat(missCount).as("miss count" + of).isEqualTo(expected.missCount);
    assertThat(lastUse).as("last use" + of).isEqualTo(expected.lastUse);
    for (int row = 0; row < sizes.rows(); row++) {
      for (int head = 0; head < sizes.kvHeads() && c.rowSeats[row] >= 0; head++) {
        assertThat(misses(row, head)).as("misses" + of).isEqualTo(expected.misses(row, head));
        int left = selectedCount[row * sizes.kvHeads() + head] - pass * sizes.passChunks();
        int count = Math.clamp(left, 0, sizes.passChunks());
        assertThat(slots(row, head, count))
            .as("slots" + of)
            .isEqualTo(expected.slots(row, head, count));
      }
    }
  }
}

package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.WindowOperations.Forgotten;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Selected chunks find their slots, and misses take those of the chunks with the lowest keys. */
public abstract class DiffConformance extends DeviceConformance {
  static List<LayerSizes> sizes() {
    return LayerSizes.groups();
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void emptyWindowsMissEverythingAndFillFromTheLowestSlot(LayerSizes sizes) {
    LayerContents contents = selecting(sizes, 20, 1);
    LayerResults layer = compare(contents, 1).results();
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = Math.max(0, SelectConformance.chunks(row));
      for (int head = 0; head < sizes.kvHeads() && contents.rowSeats[row] >= 0; head++) {
        assertThat(layer.misses(row, head)).isEqualTo(ascending(closed));
        assertThat(layer.slots(row, head, closed)).isEqualTo(ascending(closed));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void windowsThatHoldEverythingMissNothing(LayerSizes sizes) {
    LayerContents contents = selecting(sizes, 21, 1);
    for (int row = 0; row < sizes.rows(); row++) {
      int seat = contents.rowSeats[row];
      for (int head = 0; head < sizes.kvHeads() && seat >= 0; head++) {
        int[] slots = contents.shuffled(sizes.windowSlots(seat, head));
        for (int chunk = 0; chunk < contents.closed(seat); chunk++) {
          contents.resident(seat, head, slots[chunk], chunk, chunk);
        }
      }
    }
    LayerResults layer = compare(contents, 1).results();
    for (int row = 0; row < sizes.rows(); row++) {
      int seat = contents.rowSeats[row];
      if (seat >= 0) {
        assertThat(layer.misses(row, 0)).isEmpty();
        assertThat(layer.counter(row, Selection.HITS_COUNTER))
            .isEqualTo(sizes.kvHeads() * contents.closed(seat));
      }
    }
  }

  @Test
  void theChunkWithTheLowestKeyLeavesFirstAndTheLowerSlotAmongEquals() {
    LayerSizes sizes = LayerSizes.groups().get(2).withWindow(8, 5);
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 22);
    int seat = SelectConformance.seat(0);
    contents.row(0, seat, 5);
    contents.selectInAllHeads(0, 1, 11, 12, 13, 14);
    float[] keys = {0.5f, -0.25f, -0.25f, -3f, 9f, -0.25f, -1e30f, Float.NEGATIVE_INFINITY};
    for (int head = 0; head < sizes.kvHeads(); head++) {
      for (int slot = 0; slot < 8; slot++) {
        // Chunk 1, in the slot with the lowest key of all, is needed; slot 4 is empty.
        if (slot != 4) {
          contents.resident(seat, head, slot, slot == 7 ? 1 : 20 + slot, keys[slot]);
        }
      }
    }
    LayerResults layer = compare(contents, 1).results();
    assertThat(layer.misses(0, 0)).containsExactly(1, 2, 3, 4);
    assertThat(layer.slots(0, 0, 5)).containsExactly(7, 4, 6, 3, 1);
  }

  @Test
  void equalKeysEverywhereIsServedFromTheLowestSlot() {
    LayerSizes sizes = LayerSizes.groups().get(3).withWindow(12, 12);
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 23);
    for (int row = 0; row < sizes.rows(); row += 5) {
      int seat = SelectConformance.seat(row);
      contents.row(row, seat, 6);
      contents.selectInAllHeads(row, 40, 41, 42, 43, 44, 45);
      for (int head = 0; head < sizes.kvHeads(); head++) {
        for (int slot = 0; slot < sizes.windowSlots(seat, head); slot++) {
          contents.resident(seat, head, slot, 2 * slot, 0.75f);
        }
      }
    }
    compare(contents, 1);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void passesShareTheWindow(LayerSizes sizes) {
    compare(selecting(sizes.withWindow(9, 8), 24, 9), 9);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aRowWithoutChunksInAPassKeepsItsSlotsAndHasNoMisses(LayerSizes sizes) {
    LayerContents contents = selecting(sizes.withWindow(16, 16), 25, 1);
    LayerOnDevice layer = compare(contents, 1);
    int row = 1; // seven chunks
    assertThat(SelectConformance.chunks(row)).isEqualTo(7);
    int[] slots = layer.results().slots(row, 0, 7);
    layer.diff(1);
    LayerResults after = layer.results();
    assertThat(after.slots(row, 0, 7)).isEqualTo(slots);
    assertThat(after.misses(row, 0)).isEmpty();
    assertThat(after.misses(0, 0)).isNotEmpty();
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void keysAreOnlyRead(LayerSizes sizes) {
    LayerContents contents = selecting(sizes.withWindow(9, 8), 26, 9);
    for (int i = 0; i < contents.keyOfSlot.length; i++) {
      contents.keyOfSlot[i] = i % 7 - 3;
    }
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    for (int pass = 0; pass < 9; pass++) {
      layer.diff(pass);
    }
    assertThat(layer.results().keyOfSlot).isEqualTo(contents.keyOfSlot);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void theKeyOfAResidentChunkIsItsScoreAndWhatItsUsesAddOrItsPlaceWhereAllAreSelected(
      LayerSizes sizes) {
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 27);
    int[] some = {0, 5, 9};
    for (int row : some) {
      int seat = SelectConformance.seat(row);
      int closed = SelectConformance.chunks(row);
      contents.row(row, seat, row == 5 ? closed : 6);
      for (int head = 0; head < sizes.kvHeads(); head++) {
        contents.select(row, head, row == 5 ? ascending(closed) : new int[] {1, 2, 3, 5, 8, 13});
        int[] slots = contents.shuffled(sizes.windowSlots(seat, head));
        for (int chunk = 0; chunk < closed; chunk += 2) {
          contents.resident(seat, head, slots[chunk], chunk, Float.NaN);
        }
        int at = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        for (int chunk = 0; chunk < closed && row != 5; chunk++) {
          contents.scores[at + chunk] = -((chunk * 7 + head) % 64) / 8f;
        }
      }
    }
    for (boolean uses : new boolean[] {true, false}) {
      LayerOnDevice actual = new LayerOnDevice(subject, contents);
      LayerOnDevice expected = new LayerOnDevice(oracle, contents);
      actual.key(uses);
      expected.key(uses);
      LayerResults results = actual.results();
      assertThat(results.keyOfSlot).isEqualTo(expected.results().keyOfSlot);
      for (int row : some) {
        int seat = SelectConformance.seat(row);
        for (int slot = 0; slot < sizes.windowSlots(seat, 0); slot++) {
          int at = contents.slotAt(seat, 0, slot);
          int chunk = contents.chunkOfSlot[at];
          if (chunk >= 0) {
            float score = contents.scores[row * sizes.kvHeads() * sizes.maxChunks() + chunk];
            float merit = uses ? Uses.merit(contents.usesOfSlot[at], contents.positions[row]) : 0;
            assertThat(results.keyOfSlot[at])
                .as("key of chunk %d of row %d", chunk, row)
                .isEqualTo(row == 5 ? -chunk : score + merit);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aChunkKeepsItsUsesWhileItIsNotInTheWindow(LayerSizes sizes) {
    LayerContents contents = selecting(sizes.withWindow(24, 8), 31, 3);
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    int seat = SelectConformance.seat(0);
    int chunk = layer.results().selected(0, 0)[0];
    int entry = contents.cell(seat, 0) * sizes.maxChunks() + chunk;
    for (int times = 1; times < 4; times++) {
      layer.diff(0);
      int slot = layer.results().slotOfChunk[entry];
      assertThat(layer.results().usesOfSlot[contents.slotAt(seat, 0, slot)])
          .isEqualTo(Uses.of(times, contents.positions[0]));
    }
    layer.forget(Forgotten.ALL);
    assertThat(layer.results().slotOfChunk[entry]).isEqualTo(Uses.absent(3));
    layer.diff(0);
    int slot = layer.results().slotOfChunk[entry];
    assertThat(layer.results().usesOfSlot[contents.slotAt(seat, 0, slot)])
        .as("it went and came again")
        .isEqualTo(Uses.of(4, contents.positions[0]));
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void theKeysOfWhatAPassUsesAreThePositionOfItsToken(LayerSizes sizes) {
    LayerContents contents = selecting(sizes.withWindow(9, 8), 29, 9);
    Arrays.fill(contents.keyOfSlot, -1);
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    for (int pass = 0; pass < 3; pass++) {
      for (LayerOnDevice layer : List.of(actual, expected)) {
        layer.diff(pass);
        layer.recent(pass);
      }
      actual.results().assertSameAs(expected.results(), contents, pass);
    }
    // Row 0 has gone through its window of 9 slots, or some more, three times.
    int seat = SelectConformance.seat(0);
    for (int slot = 0; slot < sizes.withWindow(9, 8).windowSlots(seat, 0); slot++) {
      assertThat(actual.results().keyOfSlot[contents.slotAt(seat, 0, slot)])
          .isEqualTo(contents.positions[0]);
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aWindowForgetsWhatIsNotSelectedOrEverything(LayerSizes sizes) {
    LayerContents contents = selecting(sizes, 30, 1);
    for (int row = 0; row < sizes.rows(); row++) {
      int seat = contents.rowSeats[row];
      for (int head = 0; head < sizes.kvHeads() && seat >= 0; head++) {
        int closed = contents.closed(seat);
        int[] some = IntStream.range(0, closed).filter(c -> c % 3 == 1).toArray();
        contents.select(row, head, some);
        int[] slots = contents.shuffled(sizes.windowSlots(seat, head));
        for (int chunk = 0; chunk < closed; chunk += 2) {
          contents.resident(seat, head, slots[chunk], chunk, chunk);
        }
      }
    }
    for (Forgotten which : Forgotten.values()) {
      LayerOnDevice actual = new LayerOnDevice(subject, contents);
      LayerOnDevice expected = new LayerOnDevice(oracle, contents);
      actual.forget(which);
      expected.forget(which);
      LayerResults results = actual.results();
      assertThat(results.chunkOfSlot).isEqualTo(expected.results().chunkOfSlot);
      assertThat(results.slotOfChunk).isEqualTo(expected.results().slotOfChunk);
      for (int row = 0; row < sizes.rows(); row++) {
        int seat = contents.rowSeats[row];
        for (int chunk = 0; seat >= 0 && chunk < contents.closed(seat); chunk++) {
          int slot = results.slotOfChunk[contents.cell(seat, 0) * sizes.maxChunks() + chunk];
          boolean stays = which == Forgotten.UNSELECTED && chunk % 2 == 0 && chunk % 3 == 1;
          assertThat(slot >= 0).as("chunk %d of row %d stays", chunk, row).isEqualTo(stays);
        }
      }
    }
  }

  @Test
  void aStepThatAttendsEverythingInPassesHitsAllThatTheWindowCanKeep() {
    LayerSizes sizes = LayerSizes.groups().getFirst().withWindow(24, 8).withRows(1);
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 28);
    int seat = SelectConformance.seat(0); // 65 chunks
    contents.row(0, seat, Integer.MAX_VALUE);
    contents.selectInAllHeads(0, ascending(65));
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    int before = 0;
    for (int step = 0; step < 4; step++) {
      before = layer.results().counter(0, Selection.HITS_COUNTER);
      for (int pass = 0; pass < 9; pass++) {
        layer.key(true);
        layer.diff(pass);
      }
    }
    int kept = 0;
    for (int head = 0; head < sizes.kvHeads(); head++) {
      // One pass at a time streams through the slots that the others leave.
      kept += sizes.windowSlots(seat, head) - sizes.passChunks();
    }
    assertThat(layer.results().counter(0, Selection.HITS_COUNTER) - before)
        .isGreaterThanOrEqualTo(kept);
  }

  /** Random windows and selections, several steps one after the other. */
  @RepeatedTest(12)
  void mapsStayInverseAndVictimsAreNeverNeeded(RepetitionInfo repetition) {
    SplittableRandom random = new SplittableRandom(1000L + repetition.getCurrentRepetition());
    List<LayerSizes> all = LayerSizes.groups();
    int pass = 3 + random.nextInt(30);
    LayerSizes sizes =
        all.get(random.nextInt(all.size())).withWindow(pass + random.nextInt(30), pass);
    LayerContents contents = SelectConformance.sequences(sizes, activations(), random.nextLong());
    for (int row = 0; row < sizes.rows(); row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), 0);
      }
      for (int head = 0; head < sizes.kvHeads(); head++) {
        select(random, contents, row, head);
        populate(random, contents, row, head);
      }
    }
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    for (int step = 0; step < 4; step++) {
      int[] chosen = new int[sizes.rows()];
      LayerResults before = actual.results();
      for (int row = 0; row < sizes.rows(); row++) {
        for (int head = 0; head < sizes.kvHeads(); head++) {
          select(random, contents, row, head);
          chosen[row] += contents.selectedCount[row * sizes.kvHeads() + head];
        }
      }
      int passes = sizes.passes(sizes.maxChunks());
      int[] missed = new int[sizes.rows()];
      for (LayerOnDevice layer : List.of(actual, expected)) {
        layer.rig.write(layer.selection.selected(), Rig.bytes(contents.selected));
        layer.rig.write(layer.selection.selectedCount(), Rig.bytes(contents.selectedCount));
      }
      for (int p = 0; p < passes; p++) {
        actual.diff(p);
        expected.diff(p);
        LayerResults results = assertSame(actual, expected, contents, p);
        checkPass(results, contents, p, missed);
      }
      LayerResults after = actual.results();
      for (int row = 0; row < sizes.rows(); row++) {
        if (contents.rowSeats[row] >= 0) {
          int hits =
              after.counter(row, Selection.HITS_COUNTER)
                  - before.counter(row, Selection.HITS_COUNTER);
          assertThat(hits + missed[row])
              .as("hits and misses of row %d", row)
              .isEqualTo(chosen[row]);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void agesOfSelectedChunksAreCountedOnceForEachPosition(LayerSizes sizes) {
    SplittableRandom random = new SplittableRandom(29);
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 29);
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed < 0) {
        continue;
      }
      contents.row(row, SelectConformance.seat(row), 1);
      for (int head = 0; head < sizes.kvHeads(); head++) {
        // Row 9 selects all in head 0, from which nothing is learnt.
        select(random, contents, row, head);
        if (row == 9 && head == 0) {
          contents.select(row, head, ascending(closed));
        }
        for (int chunk = 0; chunk < closed; chunk++) {
          int at = contents.cell(SelectConformance.seat(row), head) * sizes.maxChunks() + chunk;
          contents.lastSelected[at] = random.nextInt(contents.positions[row] + 1) - 1;
        }
      }
    }
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    for (LayerOnDevice layer : List.of(actual, expected)) {
      layer.observe();
      layer.observe();
    }
    assertThat(actual.rig.readInts(actual.reuse.ages()))
        .isEqualTo(expected.rig.readInts(expected.reuse.ages()));
    assertThat(actual.rig.readInts(actual.reuse.lastSelected()))
        .isEqualTo(expected.rig.readInts(expected.reuse.lastSelected()));
    int counted = Arrays.stream(actual.rig.readInts(actual.reuse.ages())).sum();
    int chosen = 0;
    for (int row = 0; row < sizes.rows(); row++) {
      for (int head = 0; head < sizes.kvHeads() && contents.rowSeats[row] >= 0; head++) {
        int count = contents.selectedCount[row * sizes.kvHeads() + head];
        chosen += count < SelectConformance.chunks(row) ? count : 0;
      }
    }
    assertThat(counted).isPositive().isEqualTo(chosen);
  }

  @Test
  void classesOfAgesCoverAllAgesInOrder() {
    for (int ageClass = 0; ageClass + 1 < LayerReuse.NEVER; ageClass++) {
      int lowest = LayerReuse.lowestAge(ageClass);
      assertThat(LayerReuse.classOf(lowest)).isEqualTo(ageClass);
      assertThat(LayerReuse.classOf(LayerReuse.lowestAge(ageClass + 1) - 1)).isEqualTo(ageClass);
    }
    assertThat(LayerReuse.classOf(Integer.MAX_VALUE)).isEqualTo(LayerReuse.NEVER - 1);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void whatIsTrimmedIsInNoMapAndTheRestStays(LayerSizes sizes) {
    SplittableRandom random = new SplittableRandom(30);
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 30);
    for (int row = 0; row < sizes.rows(); row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), 0);
      }
      for (int head = 0; head < sizes.kvHeads(); head++) {
        populate(random, contents, row, head);
      }
    }
    int[] keep = new int[sizes.seats() * sizes.kvHeads()];
    for (int i = 0; i < keep.length; i++) {
      int seat = i / sizes.kvHeads();
      keep[i] = random.nextInt(sizes.windowSlots(seat, i % sizes.kvHeads()) + 1);
    }
    int seat = SelectConformance.seat(0);
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    actual.trim(seat, actual.rig.ints("keep", keep));
    expected.trim(seat, expected.rig.ints("keep", keep));
    LayerResults results = actual.results();
    assertThat(results.chunkOfSlot).isEqualTo(expected.results().chunkOfSlot);
    assertThat(results.slotOfChunk).isEqualTo(expected.results().slotOfChunk);
    for (int head = 0; head < sizes.kvHeads(); head++) {
      for (int slot = 0; slot < sizes.windowSlots(seat, head); slot++) {
        int at = contents.slotAt(seat, head, slot);
        assertThat(results.chunkOfSlot[at])
            .isEqualTo(slot < keep[contents.cell(seat, head)] ? contents.chunkOfSlot[at] : -1);
      }
    }
  }

  private static void select(SplittableRandom random, LayerContents c, int row, int head) {
    int closed = Math.max(0, SelectConformance.chunks(row));
    int count = closed == 0 ? 0 : random.nextInt(closed + 1);
    int[] chunks = Arrays.copyOf(c.shuffled(closed), count);
    Arrays.sort(chunks);
    c.select(row, head, chunks);
  }

  private static void populate(SplittableRandom random, LayerContents c, int row, int head) {
    int seat = c.rowSeats[row];
    if (seat < 0) {
      return;
    }
    int[] chunks = c.shuffled(c.closed(seat));
    int[] slots = c.shuffled(c.sizes.windowSlots(seat, head));
    int count = Math.min(chunks.length, slots.length);
    count = count == 0 ? 0 : random.nextInt(count + 1);
    for (int i = 0; i < count; i++) {
      // Few different values, so that there are ties.
      c.resident(seat, head, slots[i], chunks[i], (random.nextInt(5) - 3) / 4f);
    }
  }

  private static void checkPass(LayerResults layer, LayerContents c, int pass, int[] missed) {
    LayerSizes sizes = c.sizes;
    int[] slotOfChunk = layer.slotOfChunk;
    int[] chunkOfSlot = layer.chunkOfSlot;
    for (int row = 0; row < sizes.rows(); row++) {
      int seat = c.rowSeats[row];
      for (int head = 0; head < sizes.kvHeads() && seat >= 0; head++) {
        int map = c.cell(seat, head) * sizes.maxChunks();
        for (int chunk = 0; chunk < sizes.maxChunks(); chunk++) {
          int slot = slotOfChunk[map + chunk];
          if (slot >= 0) {
            assertThat(chunkOfSlot[c.slotAt(seat, head, slot)]).isEqualTo(chunk);
          }
        }
        for (int slot = 0; slot < sizes.windowSlots(seat, head); slot++) {
          int chunk = chunkOfSlot[c.slotAt(seat, head, slot)];
          if (chunk >= 0) {
            assertThat(slotOfChunk[map + chunk]).isEqualTo(slot);
          }
        }
        int cell = row * sizes.kvHeads() + head;
        int from = pass * sizes.passChunks();
        int count = Math.clamp(c.selectedCount[cell] - from, 0, sizes.passChunks());
        int[] slots = layer.slots(row, head, count);
        for (int i = 0; i < count; i++) {
          int chunk = c.selected[cell * sizes.maxChunks() + from + i];
          assertThat(slots[i]).as("slot of chunk %d", chunk).isEqualTo(slotOfChunk[map + chunk]);
          assertThat(slots[i]).isNotNegative();
        }
        int[] misses = layer.misses(row, head);
        assertThat(misses).isSorted().doesNotHaveDuplicates();
        missed[row] += misses.length;
      }
    }
  }

  /** All closed chunks of every row selected, windows empty. */
  private LayerContents selecting(LayerSizes sizes, long seed, int passes) {
    LayerContents contents = SelectConformance.sequences(sizes, activations(), seed);
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed >= 0) {
        contents.row(row, SelectConformance.seat(row), closed);
        contents.selectInAllHeads(row, ascending(closed));
      }
    }
    assertThat(sizes.passes(65)).isGreaterThanOrEqualTo(passes);
    return contents;
  }

  /** Runs the passes on both devices and compares after each. */
  private LayerOnDevice compare(LayerContents contents, int passes) {
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    for (int pass = 0; pass < passes; pass++) {
      actual.diff(pass);
      expected.diff(pass);
      assertSame(actual, expected, contents, pass);
    }
    return actual;
  }

  private static LayerResults assertSame(
      LayerOnDevice actual, LayerOnDevice expected, LayerContents contents, int pass) {
    LayerResults results = actual.results();
    results.assertSameAs(expected.results(), contents, pass);
    return results;
  }

  private static int[] ascending(int count) {
    int[] all = new int[count];
    Arrays.setAll(all, i -> i);
    return all;
  }
}

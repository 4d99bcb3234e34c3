package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.KvType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Attention over sink, ring and selected chunks, wherever these were and in how many passes. */
public abstract class AttentionConformance extends DeviceConformance {
  private enum Residency {
    NONE,
    SOME,
    ALL
  }

  static List<LayerSizes> sizes() {
    List<LayerSizes> all = new ArrayList<>();
    for (LayerSizes sizes : LayerSizes.groups()) {
      all.add(sizes);
      all.add(sizes.withWindow(19, 16));
    }
    // Every head dimension in the other type, too.
    for (LayerSizes sizes : LayerSizes.groups().subList(0, 3)) {
      all.add(sizes.withType(sizes.type() == KvType.F32 ? KvType.BF16 : KvType.F32));
    }
    for (LayerSizes sizes : LayerSizes.int8()) {
      all.add(sizes.withWindow(19, 16));
    }
    return all;
  }

  static List<LayerSizes> groups() {
    List<LayerSizes> all = new ArrayList<>(LayerSizes.groups());
    all.addAll(LayerSizes.int8().subList(2, 4));
    return all;
  }

  /** Output of an attention and the layer afterwards. */
  @SuppressWarnings("ArrayRecordComponent") // test data, never written
  private record Attended(float[] out, LayerResults results) {}

  @ParameterizedTest
  @MethodSource("sizes")
  void attendsSinkRingAndSelectedChunks(LayerSizes sizes) {
    float[] sums = attend(oracle, contents(sizes, Residency.NONE, true)).out();
    for (Residency residency : Residency.values()) {
      LayerContents contents = contents(sizes, residency, false);
      Attended actual = attend(subject, contents);
      Attended expected = attend(oracle, contents);
      double share = share(contents);
      // Where no row wrote all of them are NaN.
      assertSums(
          "attention of " + residency, actual.out(), expected.out(), sums, share, rounding());
      assertThat(actual.results().slotOfChunk).isEqualTo(expected.results().slotOfChunk);
      assertThat(actual.results().counters).isEqualTo(expected.results().counters);
    }
  }

  @ParameterizedTest
  @MethodSource("groups")
  void whereChunksWereAndHowManyPassesTheyTookChangesNothing(LayerSizes sizes) {
    LayerSizes roomy = sizes.withWindow(67, 67);
    float[] sums = attend(oracle, contents(roomy, Residency.NONE, true)).out();
    float[] first = attend(subject, contents(roomy, Residency.NONE, false)).out();
    Rig alike = alike();
    for (Residency residency : Residency.values()) {
      assertUnchanged(
          "with chunks resident: " + residency,
          attend(subject, contents(roomy, residency, false)).out(),
          first,
          sums);
      for (int pass : new int[] {5, 33}) {
        LayerSizes tight = sizes.withWindow(67, pass);
        assertUnchanged(
            "in passes of " + pass + " with chunks resident: " + residency,
            attend(pass == 33 ? alike : subject, contents(tight, residency, false)).out(),
            first,
            sums);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("groups")
  void aRowAttendsTheSameWhateverRowsAreInTheBatch(LayerSizes sizes) {
    LayerContents together = contents(sizes, Residency.SOME, false);
    float[] all = attend(subject, together).out();
    float[] sums = attend(oracle, contents(sizes, Residency.SOME, true)).out();
    int width = sizes.heads() * sizes.headDim();
    for (int row : new int[] {0, 4, 6, 9}) {
      LayerContents alone = SelectConformance.sequences(sizes.withRows(2), activations(), 40);
      alone.row(1, SelectConformance.seat(row), Integer.MAX_VALUE);
      alone.selectInAllHeads(1, chunks(row));
      System.arraycopy(together.query, row * width, alone.query, width, width);
      float[] out = attend(subject, alone).out();
      assertUnchanged(
          "row " + row + " on its own",
          Arrays.copyOfRange(out, width, 2 * width),
          Arrays.copyOfRange(all, row * width, (row + 1) * width),
          Arrays.copyOfRange(sums, row * width, (row + 1) * width));
    }
  }

  @Test
  void everythingSelectedIsDenseAttention() {
    for (LayerSizes sizes : LayerSizes.groups()) {
      if (sizes.type() == KvType.F32 && activations() == ElementType.BF16) {
        continue; // the prompt's keys would be rounded before they are stored
      }
      LayerContents contents = SelectConformance.sequences(sizes, activations(), 44);
      int row = 5; // 63 chunks
      int seat = SelectConformance.seat(row);
      contents.row(row, seat, Integer.MAX_VALUE);
      int[] all = new int[63];
      Arrays.setAll(all, i -> i);
      contents.selectInAllHeads(row, all);
      int width = sizes.heads() * sizes.headDim();
      float[] sparse =
          Arrays.copyOfRange(attend(subject, contents).out(), row * width, (row + 1) * width);
      float[] dense = PrefillConformance.attendLast(subject, contents, row, seat);
      float[] exact = PrefillConformance.attendLast(oracle, contents, row, seat);
      contents.makeValuesAbsolute();
      float[] sums = PrefillConformance.attendLast(oracle, contents, row, seat);
      double share = share(contents);
      assertSums("sparse", sparse, exact, sums, share, rounding());
      assertSums("dense", dense, exact, sums, share, rounding());
    }
  }

  @Test
  void aFaultIsLeftOutAndTheRestAttended() {
    LayerSizes sizes = LayerSizes.groups().get(3);
    LayerContents contents = contents(sizes, Residency.NONE, false);
    int seat = SelectConformance.seat(0);
    for (int head = 0; head < sizes.kvHeads(); head++) {
      contents.onlyOnNvme(seat, head, 2);
    }
    LayerContents without = contents(sizes, Residency.NONE, false);
    int[] chunks = Arrays.stream(chunks(0)).filter(c -> c / 3 != 2).toArray();
    assertThat(chunks).hasSizeLessThan(chunks(0).length);
    without.selectInAllHeads(0, chunks);
    float[] faulty = attendStopped(subject, contents);
    float[] clean = attend(subject, without).out();
    float[] sums = attend(oracle, contents(sizes, Residency.NONE, true)).out();
    int width = sizes.heads() * sizes.headDim();
    assertSums(
        "attention without the fault",
        Arrays.copyOf(faulty, width),
        Arrays.copyOf(clean, width),
        Arrays.copyOf(sums, width),
        2 * share(contents),
        2 * rounding());
  }

  private static float[] attendStopped(Rig rig, LayerContents contents) {
    LayerOnDevice layer = new LayerOnDevice(rig, contents);
    layer.mailbox.release(Mailbox.STOPPED, 1);
    Rig.Rows out = layer.output();
    layer.attend(layer.sizes.passes(65), out.view());
    assertThat(layer.results().counter(0, Selection.FAULT_COUNTER)).isPositive();
    return rig.read(out);
  }

  @Test
  void largeScoresNeitherOverflowNorVanish() {
    LayerSizes sizes = LayerSizes.groups().get(1);
    LayerContents contents = contents(sizes, Residency.SOME, false);
    LayerContents absolute = contents(sizes, Residency.SOME, true);
    for (LayerContents c : List.of(contents, absolute)) {
      for (int i = 0; i < c.query.length; i++) {
        c.query[i] *= 64; // scores of some hundreds
      }
    }
    Attended actual = attend(subject, contents);
    Attended expected = attend(oracle, contents);
    float[] sums = attend(oracle, absolute).out();
    assertSums("attention", actual.out(), expected.out(), sums, share(contents), rounding());
  }

  // --- how ---

  /** Error of an attention output relative to the weighted absolute values. */
  private double share(LayerContents contents) {
    // A score's error is one of a weight in the exponent, in numerator and denominator alike; a
    // device with narrow activations may multiply values with weights of that type.
    double weights = activations() == ElementType.F32 ? 0 : 0x1p-8;
    return SUMMATION + 2 * contents.scoreError() + weights;
  }

  /** What a row selects: all of the short ones, every second chunk of the long ones. */
  private static int[] chunks(int row) {
    int closed = Math.max(0, SelectConformance.chunks(row));
    int[] some = new int[closed > 10 && row != 9 ? closed / 2 : closed];
    Arrays.setAll(some, i -> some.length == closed ? i : 2 * i + 1);
    return some;
  }

  private LayerContents contents(LayerSizes sizes, Residency residency, boolean absolute) {
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 40);
    for (int row = 0; row < sizes.rows(); row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), Integer.MAX_VALUE);
        contents.selectInAllHeads(row, chunks(row));
        for (int head = 0; head < sizes.kvHeads(); head++) {
          reside(contents, row, head, residency);
        }
      }
    }
    if (absolute) {
      contents.makeValuesAbsolute();
    }
    return contents;
  }

  private static void reside(LayerContents c, int row, int head, Residency residency) {
    int seat = c.rowSeats[row];
    int[] slots = c.shuffled(c.sizes.windowSlots(seat, head));
    int[] chunks = chunks(row);
    int next = 0;
    for (int i = 0; i < chunks.length && next < slots.length; i++) {
      boolean resident =
          switch (residency) {
            case NONE -> false;
            case SOME -> (i + head) % 3 != 0;
            case ALL -> true;
          };
      if (resident) {
        c.resident(seat, head, slots[next++], chunks[i], 0.25f * (i % 3));
      }
    }
  }

  private static Attended attend(Rig rig, LayerContents contents) {
    LayerOnDevice layer = new LayerOnDevice(rig, contents);
    Rig.Rows out = layer.output();
    layer.attend(layer.sizes.passes(65), out.view());
    Attended attended = new Attended(rig.read(out), layer.results());
    rig.freeAll();
    return attended;
  }
}

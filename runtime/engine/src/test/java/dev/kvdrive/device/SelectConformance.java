package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.SummaryFormat;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The best chunks of each row and KV head, whatever else is in the batch. */
public abstract class SelectConformance extends DeviceConformance {
  /** Chunks of the rows; the third row is unused. */
  private static final int[] CHUNKS = {65, 7, -1, 1, 0, 63, 9, 8, 0, 65};

  static List<LayerSizes> sizes() {
    return LayerSizes.formats();
  }

  /** Sequences with {@link #CHUNKS} in seats that are not the rows; some have hardly a token. */
  static LayerContents sequences(LayerSizes sizes, ElementType activations, long seed) {
    int[] tokens = new int[sizes.seats()];
    for (int row = 0; row < CHUNKS.length; row++) {
      if (CHUNKS[row] >= 0) {
        tokens[seat(row)] =
            CHUNKS[row] == 0
                ? 1 + 5 * row
                : LayerSizes.GRID.firstToken(CHUNKS[row]) + LayerSizes.GRID.local() + row % 8;
      }
    }
    return new LayerContents(sizes, activations, seed, tokens);
  }

  static int seat(int row) {
    return (7 * row + 3) % 11;
  }

  static int chunks(int row) {
    return CHUNKS[row];
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void selectsTheBestChunksOfEachRowAndHead(LayerSizes sizes) {
    int[] counts = {5, 3, 0, 1, 4, 40, 8, 1, 0, Integer.MAX_VALUE};
    LayerContents contents = clearContents(sizes, counts);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    expected.select();
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    actual.select();
    float[] scores = subject.readFloats(actual.selection.scores());
    float[] wanted = oracle.readFloats(expected.selection.scores());
    LayerResults results = actual.results();
    LayerResults wantedResults = expected.results();
    double error = contents.scoreError();
    for (int row = 0; row < sizes.rows(); row++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int cell = row * sizes.kvHeads() + head;
        if (CHUNKS[row] < 0) {
          assertThat(results.selectedCount[cell]).as("an unused row").isEqualTo(-7);
          continue;
        }
        assertThat(results.selected(row, head))
            .as("row %d head %d", row, head)
            .isEqualTo(wantedResults.selected(row, head))
            .hasSize(Math.min(counts[row], CHUNKS[row]))
            .isSorted();
        if (counts[row] < CHUNKS[row]) {
          for (int chunk = 0; chunk < CHUNKS[row]; chunk++) {
            int at = cell * sizes.maxChunks() + chunk;
            assertThat((double) scores[at])
                .as("score of row %d head %d chunk %d", row, head, chunk)
                .isCloseTo(wanted[at], within(3 * error));
          }
        }
      }
    }
  }

  /** Contents whose scores are so far apart at the cut that no rounding takes another chunk. */
  private LayerContents clearContents(LayerSizes sizes, int[] counts) {
    for (long seed = 100; seed < 400; seed++) {
      LayerContents contents = sequences(sizes, activations(), seed);
      for (int row = 0; row < CHUNKS.length; row++) {
        if (CHUNKS[row] >= 0) {
          contents.row(row, seat(row), counts[row]);
        }
      }
      LayerOnDevice layer = new LayerOnDevice(oracle, contents);
      layer.select();
      boolean clear = clear(contents, oracle.readFloats(layer.selection.scores()), counts);
      oracle.freeAll();
      if (clear) {
        return contents;
      }
    }
    throw new AssertionError("no contents with clear scores for " + sizes);
  }

  static List<LayerSizes> oneOfEachFormat() {
    return LayerSizes.formats().stream()
        .collect(Collectors.toMap(LayerSizes::format, s -> s, (a, b) -> b, LinkedHashMap::new))
        .values()
        .stream()
        .toList();
  }

  @ParameterizedTest
  @MethodSource("oneOfEachFormat")
  void theQueriesOfAGroupAreMergedAsAsked(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, activations(), 31);
    for (int row = 0; row < CHUNKS.length; row++) {
      if (CHUNKS[row] > 0) {
        contents.row(row, seat(row), CHUNKS[row] / 2);
      }
    }
    double error = contents.scoreError();
    for (Merge merge : Merge.values()) {
      LayerOnDevice expected = new LayerOnDevice(oracle, contents);
      expected.score(merge);
      LayerOnDevice actual = new LayerOnDevice(subject, contents);
      actual.score(merge);
      float[] scores = subject.readFloats(actual.selection.scores());
      float[] wanted = oracle.readFloats(expected.selection.scores());
      for (int row = 0; row < sizes.rows(); row++) {
        for (int i = 0; i < sizes.kvHeads() * Math.max(0, CHUNKS[row]); i++) {
          int head = i / CHUNKS[row];
          int at = (row * sizes.kvHeads() + head) * sizes.maxChunks() + i % CHUNKS[row];
          assertThat((double) scores[at])
              .as("%s of row %d head %d chunk %d", merge, row, head, i % CHUNKS[row])
              .isCloseTo(wanted[at], within(3 * error));
        }
      }
    }
  }

  @Test
  void theChunksWithTheLowestCosinesAreSelectedWhateverTheirScores() {
    for (LayerSizes sizes : LayerSizes.formats()) {
      if (!(sizes.format() instanceof SummaryFormat.Landmark)) {
        continue;
      }
      int[] counts = {20, 3, 0, 1, 0, 62, 8, 1, 0, Integer.MAX_VALUE};
      LayerContents contents = sequences(sizes, activations(), 32);
      for (int row = 0; row < CHUNKS.length; row++) {
        if (CHUNKS[row] >= 0) {
          contents.row(row, seat(row), counts[row]);
        }
        for (int i = 0; i < sizes.kvHeads() * sizes.maxChunks(); i++) {
          contents.scores[row * sizes.kvHeads() * sizes.maxChunks() + i] = -i % sizes.maxChunks();
        }
      }
      // Equal chunks have equal cosines: the lower one of them counts.
      for (int head = 0; head < sizes.kvHeads(); head++) {
        for (int chunk = 1; chunk < CHUNKS[5]; chunk += 3) {
          int from = contents.summaryAt(seat(5), head, chunk);
          int to = contents.summaryAt(seat(5), head, chunk + 1);
          contents.reorderSummary(contents.summaries.clone(), from, to, 0);
        }
      }
      LayerOnDevice expected = new LayerOnDevice(oracle, contents);
      LayerOnDevice actual = new LayerOnDevice(subject, contents);
      for (LayerOnDevice layer : List.of(expected, actual)) {
        layer.pin(3, 8);
        layer.best();
      }
      assertThat(subject.readFloats(actual.selection.scores()))
          .isEqualTo(oracle.readFloats(expected.selection.scores()));
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int[] selected = actual.results().selected(0, head);
        assertThat(selected).isEqualTo(expected.results().selected(0, head)).hasSize(20);
        // 7 outliers, and the first of the others.
        assertThat(Arrays.stream(selected).filter(c -> c >= 20).count()).isBetween(1L, 7L);
        assertThat(selected).contains(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
      }
    }
  }

  @Test
  void aRowThatMayMissAShareSelectsTheFewestChunksThatLeaveNoMoreOutAndAQuarterAtLeast() {
    LayerSizes sizes = LayerSizes.formats().getFirst();
    float[] shares = {0.3f, 0.01f, 0, 0.5f, 0.2f, 0.05f, 0, 0.9f, 0.1f, 0.001f};
    int[] most = {65, 7, 0, 1, 0, 20, 3, 9, 0, Integer.MAX_VALUE};
    LayerContents contents = sequences(sizes, activations(), 33);
    SplittableRandom random = new SplittableRandom(34);
    for (int row = 0; row < CHUNKS.length; row++) {
      if (CHUNKS[row] >= 0) {
        contents.row(row, seat(row), most[row]);
        contents.mayMiss[row] = shares[row];
      }
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int at = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        // Of all attention some is elsewhere: in the last head nearly all.
        double all = head == sizes.kvHeads() - 1 ? 5000 : 60;
        for (int chunk = 0; chunk < Math.max(0, CHUNKS[row]); chunk++) {
          // Equal ones among them, so that borders lie within.
          contents.scores[at + chunk] = (float) Math.log((1 + random.nextInt(12)) / all / 3);
        }
      }
    }
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    expected.best();
    actual.best();
    boolean some = false;
    for (int row = 0; row < CHUNKS.length; row++) {
      for (int head = 0; head < sizes.kvHeads() && CHUNKS[row] > 0; head++) {
        int[] selected = actual.results().selected(row, head);
        assertThat(selected)
            .as("row %d head %d", row, head)
            .isEqualTo(expected.results().selected(row, head))
            .isSorted();
        if (shares[row] == 0) {
          assertThat(selected).hasSize(Math.min(most[row], CHUNKS[row]));
          continue;
        }
        int at = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        double missed = 0;
        for (int chunk = 0; chunk < CHUNKS[row]; chunk++) {
          boolean in = Arrays.binarySearch(selected, chunk) >= 0;
          missed += in ? 0 : Math.exp(contents.scores[at + chunk]);
        }
        boolean enough = missed <= shares[row] * 1.0001;
        assertThat(enough || selected.length == most[row]).isTrue();
        int least = (Math.min(most[row], CHUNKS[row]) + 3) / 4;
        assertThat(selected).as("a quarter at least").hasSizeGreaterThanOrEqualTo(least);
        if (enough && selected.length > least) {
          double lightest =
              Arrays.stream(selected)
                  .mapToDouble(c -> Math.exp(contents.scores[at + c]))
                  .min()
                  .orElseThrow();
          assertThat(missed + lightest).as("one fewer").isGreaterThan(shares[row]);
        }
        some |= enough && selected.length > least && selected.length < CHUNKS[row];
      }
    }
    assertThat(some).isTrue();
    assertThat(actual.results().selected(0, sizes.kvHeads() - 1))
        .as("enough elsewhere")
        .hasSize((Math.min(most[0], CHUNKS[0]) + 3) / 4);
  }

  static List<LayerSizes> sizesWithShares() {
    return LayerSizes.formats().stream().filter(s -> s.format().estimatesShares()).toList();
  }

  @ParameterizedTest
  @MethodSource("sizesWithShares")
  void whereAShareMayBeMissedScoresAreSharesOfAllAttention(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, activations(), 35);
    for (int row = 0; row < CHUNKS.length; row++) {
      if (CHUNKS[row] >= 0) {
        contents.row(row, seat(row), CHUNKS[row]);
        contents.mayMiss[row] = row % 3 == 1 ? 0 : 0.3f;
      }
    }
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    expected.select();
    actual.select();
    float[] scores = subject.readFloats(actual.selection.scores());
    float[] wanted = oracle.readFloats(expected.selection.scores());
    LayerResults results = actual.results();
    double error = contents.scoreError();
    for (int row = 0; row < CHUNKS.length; row++) {
      for (int head = 0; head < sizes.kvHeads() && CHUNKS[row] > 0; head++) {
        int[] selected = results.selected(row, head);
        if (contents.mayMiss[row] == 0) {
          assertThat(selected).hasSize(CHUNKS[row]);
          continue;
        }
        int at = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        double all = 0;
        double missed = 0;
        for (int chunk = 0; chunk < CHUNKS[row]; chunk++) {
          assertThat((double) scores[at + chunk])
              .as("row %d head %d chunk %d", row, head, chunk)
              .isCloseTo(wanted[at + chunk], within(4 * error));
          all += Math.exp(wanted[at + chunk]);
          missed += Arrays.binarySearch(selected, chunk) >= 0 ? 0 : Math.exp(wanted[at + chunk]);
        }
        // Sink and local tokens have their part of it.
        assertThat(all).isLessThan(sizes.group());
        assertThat(missed).isLessThan(0.3 * Math.exp(8 * error));
      }
    }
    for (int row : new int[] {0, 5, 9}) {
      LayerContents alone = sequences(sizes.withRows(1), activations(), 35);
      alone.row(0, seat(row), CHUNKS[row]);
      alone.mayMiss[0] = contents.mayMiss[row];
      int width = sizes.heads() * sizes.headDim();
      System.arraycopy(contents.query, row * width, alone.query, 0, width);
      LayerOnDevice one = new LayerOnDevice(row == 5 ? alike() : subject, alone);
      one.select();
      for (int head = 0; head < sizes.kvHeads(); head++) {
        assertThat(one.results().selected(0, head)).isEqualTo(results.selected(row, head));
      }
    }
  }

  private static Offset<Double> within(double error) {
    return Offset.offset(error);
  }

  private static boolean clear(LayerContents contents, float[] scores, int[] counts) {
    LayerSizes sizes = contents.sizes;
    double error = contents.scoreError();
    for (int row = 0; row < CHUNKS.length; row++) {
      int count = counts[row];
      if (count > 0 && count < CHUNKS[row]) {
        for (int head = 0; head < sizes.kvHeads(); head++) {
          int from = (row * sizes.kvHeads() + head) * sizes.maxChunks();
          float[] sorted = Arrays.copyOfRange(scores, from, from + CHUNKS[row]);
          Arrays.sort(sorted);
          double gap = sorted[CHUNKS[row] - count] - sorted[CHUNKS[row] - count - 1];
          // Chunks of one summary have one score, and the lower of them is selected.
          if (gap != 0 && gap < 10 * error) {
            return false;
          }
        }
      }
    }
    return true;
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void nearTiesAreDecidedWithinTheErrorOfAScore(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, activations(), 7);
    byte[] before = contents.summaries.clone();
    for (int row = 0; row < CHUNKS.length; row++) {
      if (CHUNKS[row] > 0) {
        contents.row(row, seat(row), Math.max(1, CHUNKS[row] / 2));
        for (int head = 0; head < sizes.kvHeads(); head++) {
          // Every summary has the keys of the first one in another order: sums of the same.
          int first = contents.summaryAt(seat(row), head, 0);
          for (int chunk = 1; chunk < CHUNKS[row]; chunk++) {
            int at = contents.summaryAt(seat(row), head, chunk);
            contents.reorderSummary(before, first, at, chunk % 8);
          }
        }
      }
    }
    LayerOnDevice actual = new LayerOnDevice(subject, contents);
    LayerOnDevice expected = new LayerOnDevice(oracle, contents);
    actual.select();
    expected.select();
    float[] scores = oracle.readFloats(expected.selection.scores());
    LayerResults results = actual.results();
    double error = contents.scoreError();
    for (int row = 0; row < sizes.rows(); row++) {
      for (int head = 0; head < sizes.kvHeads() && CHUNKS[row] > 0; head++) {
        int[] selected = results.selected(row, head);
        int base = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        assertThat(selected).hasSize(selectCount(row)).isSorted().doesNotHaveDuplicates();
        double lowest =
            Arrays.stream(selected).mapToDouble(c -> scores[base + c]).min().orElseThrow();
        int row0 = row;
        double best =
            IntStream.range(0, CHUNKS[row0])
                .filter(c -> Arrays.binarySearch(selected, c) < 0)
                .mapToDouble(c -> scores[base + c])
                .max()
                .orElse(Double.NEGATIVE_INFINITY);
        assertThat(lowest).isGreaterThanOrEqualTo(best - 3 * error);
      }
    }
  }

  private static int selectCount(int row) {
    return Math.max(1, CHUNKS[row] / 2);
  }

  @Test
  void amongEqualScoresTheLowerChunkIsSelected() {
    for (LayerSizes sizes : LayerSizes.groups()) {
      int dim = sizes.headDim();
      LayerContents contents = sequences(sizes, activations(), 8);
      for (int i = 0; i < contents.query.length; i++) {
        contents.query[i] = i % 3 - 1;
      }
      for (int row = 0; row < CHUNKS.length; row++) {
        if (CHUNKS[row] > 0) {
          contents.row(row, seat(row), (CHUNKS[row] + 1) / 2);
          for (int head = 0; head < sizes.kvHeads(); head++) {
            int query = (row * sizes.heads() + head * sizes.group()) * dim;
            for (int chunk = 0; chunk < CHUNKS[row]; chunk++) {
              // Two kinds of chunks, so that the better ones are too few and the cut is a tie.
              int at = LayerSizes.GRID.firstToken(chunk) * dim;
              for (int i = 0; i < LayerSizes.GRID.chunk() * dim; i++) {
                float like = contents.query[query + i % dim];
                contents.keys[seat(row)][head][at + i] = chunk % 5 == 4 ? like : like / 4;
              }
            }
            contents.derive(seat(row), head);
          }
        }
      }
      LayerOnDevice actual = new LayerOnDevice(subject, contents);
      LayerOnDevice expected = new LayerOnDevice(oracle, contents);
      actual.select();
      expected.select();
      LayerResults results = actual.results();
      LayerResults wanted = expected.results();
      for (int row = 0; row < sizes.rows(); row++) {
        for (int head = 0; head < sizes.kvHeads() && CHUNKS[row] > 0; head++) {
          assertThat(results.selected(row, head))
              .as("row %d head %d of %s", row, head, sizes)
              .isEqualTo(wanted.selected(row, head));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aRowSelectsTheSameWhateverRowsAreInTheBatch(LayerSizes sizes) {
    LayerContents together = sequences(sizes, activations(), 9);
    for (int row = 0; row < CHUNKS.length; row++) {
      if (CHUNKS[row] >= 0) {
        together.row(row, seat(row), selectCount(row));
      }
    }
    LayerOnDevice all = new LayerOnDevice(subject, together);
    all.select();
    float[] scores = subject.readFloats(all.selection.scores());
    for (int row : new int[] {0, 5, 9}) {
      LayerContents alone = sequences(sizes.withRows(1), activations(), 9);
      alone.row(0, seat(row), selectCount(row));
      int width = sizes.heads() * sizes.headDim();
      System.arraycopy(together.query, row * width, alone.query, 0, width);
      LayerOnDevice one = new LayerOnDevice(row == 5 ? alike() : subject, alone);
      one.select();
      LayerResults results = one.results();
      LayerResults ofAll = all.results();
      float[] own = one.rig.readFloats(one.selection.scores());
      for (int head = 0; head < sizes.kvHeads(); head++) {
        assertThat(results.selected(0, head)).isEqualTo(ofAll.selected(row, head));
        int from = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        float[] mine =
            Arrays.copyOfRange(
                own, head * sizes.maxChunks(), head * sizes.maxChunks() + CHUNKS[row]);
        float[] theirs = Arrays.copyOfRange(scores, from, from + CHUNKS[row]);
        if (subject.device.bitExact()) {
          assertSameBits("scores of row " + row, mine, theirs);
        }
      }
    }
  }
}

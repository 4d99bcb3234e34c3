package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.device.IndexOperations.Merge;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Clusters of similar keys: built from a prompt, joined by later chunks, attended for the rest. */
public abstract class ClusterConformance extends DeviceConformance {
  static List<LayerSizes> sizes() {
    List<LayerSizes> groups = LayerSizes.groups();
    return List.of(
        groups.get(0),
        groups.get(2),
        groups.get(7),
        groups.get(3).withNibbles(),
        groups.get(4).withNibbles(),
        groups.get(5).withHeadDim(80).withNibbles());
  }

  /** Those whose chunks are clustered by their means. */
  static List<LayerSizes> ofChunks() {
    List<LayerSizes> groups = LayerSizes.groups();
    return List.of(groups.get(3).withCentroids(), groups.get(4).withCentroids());
  }

  static List<LayerSizes> ofTokensAndChunks() {
    Stream<LayerSizes> byKeys = sizes().stream().limit(2).map(LayerSizes::withKeyClusters);
    return Stream.of(sizes().stream(), byKeys, ofChunks().stream()).flatMap(s -> s).toList();
  }

  /** A layer whose sequences are clustered as prompts. */
  static LayerOnDevice clustered(Rig rig, LayerContents contents) {
    LayerOnDevice layer = new LayerOnDevice(rig, contents);
    for (int seat = 0; seat < contents.sizes.seats(); seat++) {
      if (contents.closed(seat) > 0) {
        layer.cluster(scratch(rig, contents, seat), seat, contents.closed(seat));
      }
    }
    return layer;
  }

  /** Keys and values of a seat as a prompt's. */
  private static PrefillScratch scratch(Rig rig, LayerContents contents, int seat) {
    LayerSizes sizes = contents.sizes;
    int rows = sizes.maxTokens() + 3;
    float[] elements = new float[2 * sizes.kvHeads() * rows * sizes.headDim()];
    Arrays.fill(elements, Float.NaN);
    for (int head = 0; head < sizes.kvHeads(); head++) {
      float[] keys = contents.keys[seat][head];
      int at = 2 * head * rows * sizes.headDim();
      System.arraycopy(keys, 0, elements, at, keys.length);
      System.arraycopy(
          contents.values[seat][head], 0, elements, at + rows * sizes.headDim(), keys.length);
    }
    return new PrefillScratch(rows, rig.buffer("scratch", Rig.bytes(elements, contents.type())));
  }

  private LayerContents sequences(LayerSizes sizes, long seed) {
    return SelectConformance.sequences(sizes, activations(), seed);
  }

  /** Keys in heaps, of which some are alike to the bit, as those of repeated words are. */
  private static void makeAlike(LayerContents contents) {
    int dim = contents.sizes.headDim();
    for (int seat = 0; seat < contents.sizes.seats(); seat++) {
      for (int head = 0; head < contents.sizes.kvHeads(); head++) {
        float[] keys = contents.keys[seat][head];
        for (int token = 0; token < keys.length / dim; token++) {
          int of = token % 7 == 0 ? token % 5 : token;
          System.arraycopy(keys, Math.min(of, token) * dim, keys, token * dim, dim);
        }
        contents.derive(seat, head);
      }
    }
  }

  private void assertSameClusters(String what, LayerOnDevice actual, LayerOnDevice expected) {
    LayerClusters a = actual.layer.index().clustering();
    LayerClusters e = expected.layer.index().clustering();
    assertThat(actual.rig.readInts(a.clustered()))
        .as("%s: chunks in clusters", what)
        .isEqualTo(expected.rig.readInts(e.clustered()));
    assertThat(actual.rig.read(a.clusterOfMember()))
        .as("%s: clusters of tokens", what)
        .isEqualTo(expected.rig.read(e.clusterOfMember()));
    byte[] table = actual.rig.read(a.table());
    byte[] wanted = expected.rig.read(e.table());
    if (a.format().comparesValues()) {
      assertThat(actual.rig.read(a.bases()))
          .as("%s: weights of values and mean keys", what)
          .isEqualTo(expected.rig.read(e.bases()));
    }
    int bytes = a.format().bytes(actual.layer.layout());
    for (int at = 0; at < wanted.length; at += bytes) {
      assertThat(Arrays.copyOfRange(table, at, at + bytes))
          .as("%s: cluster %d", what, at / bytes)
          .isEqualTo(Arrays.copyOfRange(wanted, at, at + bytes));
    }
  }

  @ParameterizedTest
  @MethodSource("ofTokensAndChunks")
  void aPromptHasTheSameClustersToTheBitOnEveryDevice(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, 61);
    makeAlike(contents);
    LayerOnDevice actual = clustered(subject, contents);
    assertSameClusters("subject", actual, clustered(oracle, contents));
    assertSameClusters("alike", clustered(alike(), contents), actual);
  }

  @Test
  void tokensOfLikeKeysAreTogetherWhereTheirValuesAreAlike() {
    tokensAreTogether(false, sizes());
  }

  @Test
  void tokensOfLikeKeysAndUnlikeValuesAreApartWhereValuesCount() {
    tokensAreTogether(true, sizes());
  }

  @Test
  void tokensOfLikeKeysAreTogetherWhateverTheirValuesWhereKeysAloneCount() {
    tokensAreTogether(false, sizes().stream().map(LayerSizes::withKeyClusters).toList());
  }

  /** Sixteen tokens are together, or eight whose values are alike. */
  private void tokensAreTogether(boolean byValues, List<LayerSizes> all) {
    for (LayerSizes sizes : all) {
      LayerContents contents = sequences(sizes, 62);
      int dim = sizes.headDim();
      int seat = SelectConformance.seat(0);
      int together = byValues ? 8 : 16;
      // Keys around eight places of the segment's first tokens, far from each other; values around
      // one place of theirs, or of each half of them.
      for (float[] keys : contents.keys[seat]) {
        for (int i = 0; i < keys.length; i++) {
          int place = (i / dim - LayerSizes.GRID.sink() + 16) / 16 % 8;
          float near = keys[i] / 16 + (i % dim % 8 == place ? 8 : 0);
          keys[i] = Bfloat16.widen(Bfloat16.round(near));
        }
      }
      for (float[] values : contents.values[seat]) {
        for (int i = 0; i < values.length; i++) {
          int half = (i / dim - LayerSizes.GRID.sink() + 16) / 8 % 2;
          float near = values[i] / 64 + (byValues && i % dim % 2 == half ? 1 : 0);
          values[i] = Bfloat16.widen(Bfloat16.round(near));
        }
      }
      LayerOnDevice layer = clustered(subject, contents);
      byte[] ids = subject.read(layer.layer.index().clustering().clusterOfMember());
      int perCell = sizes.maxChunks() * 8 * 2;
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int at = contents.cell(seat, head) * perCell;
        for (int token = 0; token < 128; token++) {
          int first = token / together * together;
          assertThat(ids[at + 2 * token])
              .as("token %d of head %d", token, head)
              .isEqualTo(ids[at + 2 * first]);
          if (byValues && first % 16 == 8) {
            assertThat(ids[at + 2 * token])
                .as("token %d of head %d, beside one with another value", token, head)
                .isNotEqualTo(ids[at + 2 * (first - 8)]);
          }
        }
      }
      subject.freeAll();
    }
  }

  @ParameterizedTest
  @MethodSource("ofTokensAndChunks")
  void aChunkThatClosesLaterJoinsTheSameClustersOnEveryDevice(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, 63);
    LayerOnDevice actual = clustered(subject, contents);
    LayerOnDevice expected = clustered(oracle, contents);
    int[] length = contents.tokens.clone();
    for (int step = 0; step < 20; step++) {
      for (int row = 0; row < sizes.rows(); row++) {
        int seat = SelectConformance.chunks(row) < 0 ? -1 : SelectConformance.seat(row);
        boolean room = seat >= 0 && length[seat] < sizes.maxTokens();
        contents.rowSeats[row] = room ? seat : -1;
        contents.positions[row] = room ? length[seat]++ : 0;
      }
      int width = sizes.kvHeads() * sizes.headDim();
      float[] keys = contents.gaussians(sizes.rows() * width, activations());
      float[] values = contents.gaussians(sizes.rows() * width, activations());
      for (LayerOnDevice layer : List.of(actual, expected)) {
        layer.rig.write(layer.batch.seats(), Rig.bytes(contents.rowSeats));
        layer.rig.write(layer.batch.positions(), Rig.bytes(contents.positions));
        provide(layer);
        Rig.Rows k = layer.rig.rows("keys", sizes.rows(), width, keys);
        Rig.Rows v = layer.rig.rows("values", sizes.rows(), width, values);
        layer.append(k.view(), v.view());
        layer.join();
        if (step % 3 == 0) {
          layer.join(); // a repeated step takes nothing in twice
        }
      }
    }
    assertSameClusters("after 20 steps", actual, expected);
    for (int row = 0; row < sizes.rows(); row++) {
      if (SelectConformance.chunks(row) >= 0) {
        int seat = SelectConformance.seat(row);
        int closed = LayerSizes.GRID.closedChunks(length[seat]);
        int[] chunks = subject.readInts(actual.layer.index().clustering().clustered());
        assertThat(chunks[contents.cell(seat, 0)]).as("chunks of seat %d", seat).isEqualTo(closed);
      }
    }
  }

  /** A frame for every extent. */
  private static void provide(LayerOnDevice layer) {
    int extents = layer.sizes.seats() * layer.sizes.kvHeads() * layer.sizes.maxExtents();
    int[] frames = new int[extents];
    Arrays.setAll(frames, i -> i);
    layer.rig.write(layer.layer.frameOfExtent(), Rig.bytes(frames));
  }

  @Test
  void aSeatThatIsResetHasNoClusters() {
    LayerSizes sizes = sizes().get(2);
    LayerContents contents = sequences(sizes, 64);
    LayerOnDevice layer = clustered(subject, contents);
    int seat = SelectConformance.seat(0);
    subject.ops.kv().reset(subject.queue, new KvOperations.Reset(layer.layer, seat));
    int[] clustered = subject.readInts(layer.layer.index().clustering().clustered());
    for (int other = 0; other < sizes.seats(); other++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        assertThat(clustered[contents.cell(other, head)])
            .as("chunks of seat %d", other)
            .isEqualTo(other == seat ? 0 : contents.closed(other));
      }
    }
  }

  // --- scores by clusters ---

  /** Rows that choose some of their chunks, and one that takes all. */
  private static void chooseSome(LayerContents contents) {
    for (int row = 0; row < contents.sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed >= 0) {
        contents.row(row, SelectConformance.seat(row), row == 5 ? closed : closed / 2);
      }
    }
  }

  /**
   * Asserts that scores are those wanted, within the error of their sums: a product's absolute
   * terms add up to the norms of a query and a centroid at most.
   */
  private void assertScores(LayerContents contents, float[] actual, float[] wanted) {
    LayerSizes sizes = contents.sizes;
    Offset<Double> error = Offset.offset(3 * contents.productError());
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed > 0 && contents.selectCounts[row] < closed) {
        for (int i = 0; i < sizes.kvHeads() * closed; i++) {
          int at = (row * sizes.kvHeads() + i / closed) * sizes.maxChunks() + i % closed;
          assertThat((double) actual[at])
              .as("row %d head %d chunk %d", row, i / closed, i % closed)
              .isCloseTo(wanted[at], error);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void scoresChunksByTheClustersOfTheirTokens(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, 69);
    makeAlike(contents); // so that some clusters have no token
    chooseSome(contents);
    float[] expected = scoresByClusters(oracle, contents);
    float[] actual = scoresByClusters(subject, contents);
    assertScores(contents, actual, expected);
    assertScores(contents, scoresByClusters(alike(), contents), actual);
  }

  private float[] scoresByClusters(Rig rig, LayerContents contents) {
    LayerOnDevice layer = exactlyClustered(rig, contents);
    layer.scoreClusters();
    float[] scores = rig.readFloats(layer.selection.scores());
    rig.freeAll();
    oracle.freeAll();
    return scores;
  }

  @Test
  void aChunkCountsByItsTokensInTheClusterThatAQueryWants() {
    LayerSizes sizes = sizes().get(2);
    LayerContents contents = sequences(sizes, 70);
    int dim = sizes.headDim();
    int seat = SelectConformance.seat(0);
    int chunks = SelectConformance.chunks(0);
    // Each chunk has one token more than the one before it that looks like the queries.
    for (int head = 0; head < sizes.kvHeads(); head++) {
      float[] keys = contents.keys[seat][head];
      for (int i = 0; i < keys.length; i++) {
        int token = i / dim - LayerSizes.GRID.sink();
        boolean like = token >= 0 && token % 8 < token / 8 % 8;
        keys[i] = (like ? 2 : -2) + (i % 2) / 16f;
      }
    }
    Arrays.fill(contents.query, 1);
    contents.row(0, seat, chunks / 8);
    LayerOnDevice layer = clustered(subject, contents);
    layer.scoreClusters();
    layer.best();
    for (int head = 0; head < sizes.kvHeads(); head++) {
      assertThat(Arrays.stream(layer.results().selected(0, head)).boxed())
          .as("head %d", head)
          .hasSize(chunks / 8)
          .allMatch(chunk -> chunk % 8 == 7);
    }
  }

  @ParameterizedTest
  @MethodSource("ofChunks")
  void scoresTheChunksThatTheBestClustersOpenAndNoOthers(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, 71);
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed >= 0) {
        contents.row(row, SelectConformance.seat(row), row == 5 ? closed : closed / 7);
      }
    }
    Offset<Double> error = Offset.offset(3 * contents.productError());
    for (Merge merge : Merge.values()) {
      float[] expected = scoresOfOpened(oracle, contents, merge);
      float[] actual = scoresOfOpened(subject, contents, merge);
      for (int row = 0; row < sizes.rows(); row++) {
        int closed = SelectConformance.chunks(row);
        int count = contents.selectCounts[row];
        for (int head = 0; head < sizes.kvHeads() && count < closed; head++) {
          int open = 0;
          for (int chunk = 0; chunk < closed; chunk++) {
            int at = (row * sizes.kvHeads() + head) * sizes.maxChunks() + chunk;
            String what = "%s of row %d head %d chunk %d".formatted(merge, row, head, chunk);
            if (expected[at] == Float.NEGATIVE_INFINITY) {
              assertThat(actual[at]).as(what).isEqualTo(Float.NEGATIVE_INFINITY);
            } else {
              assertThat((double) actual[at]).as(what).isCloseTo(expected[at], error);
              open++;
            }
          }
          assertThat(open)
              .as("open in row %d head %d", row, head)
              .isBetween(Math.max(1, 2 * count), row == 0 ? closed - 1 : closed);
        }
      }
    }
  }

  private float[] scoresOfOpened(Rig rig, LayerContents contents, Merge merge) {
    LayerOnDevice layer = exactlyClustered(rig, contents);
    layer.scoreOpened(merge, 2);
    float[] scores = rig.readFloats(layer.selection.scores());
    rig.freeAll();
    oracle.freeAll();
    return scores;
  }

  @Test
  void whatIsInNoClusterYetIsOpen() {
    LayerSizes sizes = ofChunks().get(0);
    LayerContents contents = sequences(sizes, 72);
    int seat = SelectConformance.seat(0);
    contents.row(0, seat, 9);
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    int closed = contents.closed(seat);
    layer.cluster(scratch(subject, contents, seat), seat, closed - 17);
    layer.scoreOpened(Merge.LARGEST_SHARE, 2);
    float[] scores = subject.readFloats(layer.selection.scores());
    for (int head = 0; head < sizes.kvHeads(); head++) {
      int from = head * sizes.maxChunks();
      assertThat(Arrays.copyOfRange(scores, from + closed - 17, from + closed))
          .doesNotContain(Float.NEGATIVE_INFINITY);
      assertThat(Arrays.copyOfRange(scores, from, from + closed - 17))
          .contains(Float.NEGATIVE_INFINITY);
    }
  }

  @Test
  void aVerbThatNeedsClustersOfAnotherKindIsRefused() {
    LayerContents ofChunks = sequences(ofChunks().get(0), 73);
    LayerOnDevice chunks = new LayerOnDevice(subject, ofChunks);
    assertThatThrownBy(chunks::scoreClusters)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("are of chunks, not of tokens");
    assertThatThrownBy(chunks::estimate).isInstanceOf(IllegalArgumentException.class);
    LayerOnDevice tokens = new LayerOnDevice(subject, sequences(sizes().get(0), 73));
    assertThatThrownBy(() -> tokens.scoreOpened(Merge.LARGEST_SHARE, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("are of tokens, not of chunks");
  }

  // --- the estimate ---

  /** What a row selects: a third of the long ones, all of the short ones but for one row none. */
  private static int[] chunks(int row) {
    int closed = Math.max(0, SelectConformance.chunks(row));
    if (row == 6) {
      return new int[0];
    }
    int[] some = new int[closed > 10 ? closed / 3 : closed];
    Arrays.setAll(some, i -> some.length == closed ? i : 3 * i + 1);
    return some;
  }

  private static void selectSome(LayerContents contents) {
    for (int row = 0; row < contents.sizes.rows(); row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), 1);
        contents.selectInAllHeads(row, chunks(row));
      }
    }
  }

  /** A layer with the oracle's clusters, whatever the device would make of them. */
  private LayerOnDevice exactlyClustered(Rig rig, LayerContents contents) {
    LayerOnDevice layer = clustered(rig, contents);
    if (rig != oracle) {
      LayerOnDevice exact = clustered(oracle, contents);
      LayerClusters from = exact.layer.index().clustering();
      LayerClusters to = layer.layer.index().clustering();
      rig.write(to.table(), oracle.read(from.table()));
      rig.write(to.clusterOfMember(), oracle.read(from.clusterOfMember()));
      rig.write(to.clustered(), oracle.read(from.clustered()));
      rig.write(to.bases(), oracle.read(from.bases()));
    }
    return layer;
  }

  private float[] attend(Rig rig, LayerContents contents, boolean estimate) {
    LayerOnDevice layer = exactlyClustered(rig, contents);
    Rig.Rows out = layer.output();
    layer.attend(contents.sizes.passes(65), estimate, out.view());
    float[] result = rig.read(out);
    rig.freeAll();
    oracle.freeAll();
    return result;
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void attendsClustersInPlaceOfWhatIsNotSelected(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, 65);
    selectSome(contents);
    LayerContents absolute = sequences(sizes, 65);
    selectSome(absolute);
    absolute.makeValuesAbsolute();
    float[] sums = attend(oracle, absolute, true);
    float[] expected = attend(oracle, contents, true);
    float[] actual = attend(subject, contents, true);
    double weights = activations() == ElementType.F32 ? 0 : 0x1p-8;
    double share = SUMMATION + 4 * contents.scoreError() + weights;
    assertSums("attention with an estimate", actual, expected, sums, share, rounding());
    float[] without = attend(oracle, contents, false);
    int width = sizes.heads() * sizes.headDim();
    assertThat(Arrays.copyOf(expected, width))
        .as("the estimate changes what is attended")
        .isNotEqualTo(Arrays.copyOf(without, width));
    Rig alike = alike();
    assertUnchanged("alike", attend(alike, contents, true), actual, sums);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void whereEverythingIsSelectedTheEstimateAddsNothing(LayerSizes sizes) {
    LayerContents contents = sequences(sizes, 66);
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed >= 0) {
        contents.row(row, SelectConformance.seat(row), Integer.MAX_VALUE);
        int[] all = new int[closed];
        Arrays.setAll(all, i -> i);
        contents.selectInAllHeads(row, all);
      }
    }
    assertSameBits("attention", attend(subject, contents, true), attend(subject, contents, false));
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aRowIsEstimatedTheSameWhateverRowsAreInTheBatch(LayerSizes sizes) {
    LayerContents together = sequences(sizes, 67);
    selectSome(together);
    float[] all = attend(subject, together, true);
    int width = sizes.heads() * sizes.headDim();
    LayerContents absolute = sequences(sizes, 67);
    selectSome(absolute);
    absolute.makeValuesAbsolute();
    float[] sums = attend(oracle, absolute, true);
    for (int row : new int[] {0, 5, 6}) {
      LayerContents alone = sequences(sizes.withRows(2), 67);
      alone.row(1, SelectConformance.seat(row), 1);
      alone.selectInAllHeads(1, chunks(row));
      System.arraycopy(together.query, row * width, alone.query, width, width);
      float[] out = attend(subject, alone, true);
      assertUnchanged(
          "row " + row + " on its own",
          Arrays.copyOfRange(out, width, 2 * width),
          Arrays.copyOfRange(all, row * width, (row + 1) * width),
          Arrays.copyOfRange(sums, row * width, (row + 1) * width));
    }
  }

  @Test
  void segmentsThatAreNoneAndLayersWithoutClustersAreRefused() {
    LayerSizes sizes = sizes().get(0);
    LayerContents contents = sequences(sizes, 68);
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    KvLayer kv = layer.layer;
    PrefillScratch scratch = scratch(subject, contents, 3);
    int segment = sizes.clusters().segmentChunks(kv.layout());
    assertThatThrownBy(
            () -> new IndexOperations.Cluster(new PromptChunks(kv, scratch, 3, 1, segment)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("chunks 1 to 16 are no segment of 16");
    assertThatThrownBy(
            () -> new IndexOperations.Cluster(new PromptChunks(kv, scratch, 3, 0, segment + 1)))
        .isInstanceOf(IllegalArgumentException.class);
    KvLayer without =
        new KvLayer(
            kv.layout(),
            kv.layer(),
            kv.seats(),
            kv.maxChunks(),
            kv.dense(),
            new LayerIndex(kv.index().format(), kv.index().summaries()),
            kv.window(),
            kv.frameOfExtent(),
            kv.lastUse());
    assertThatThrownBy(() -> new IndexOperations.Join(new LayerStep(layer.batch, without)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("has no clusters");
    assertThatThrownBy(
            () ->
                new AttentionOperations.Estimate(
                    new LayerStep(layer.batch, without),
                    sizes.shape(),
                    layer.query.view(),
                    layer.selection,
                    layer.state))
        .isInstanceOf(IllegalArgumentException.class);
  }
}

package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.ClusterFormat.Members;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.SummaryFormat;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;

/**
 * Sizes of one layer's KV state and of the workspaces for it.
 *
 * @param maxTokens tokens a seat can have
 * @param format of the index
 * @param clusters of every layer
 * @param chunks formats of closed chunks
 * @param window slots of the first KV head of the first seat; each further head has three more, and
 *     the seats after a multiple of three one and two
 */
record LayerSizes(
    KvType type,
    int group,
    int kvHeads,
    int headDim,
    int seats,
    int rows,
    int maxTokens,
    int window,
    int passChunks,
    int extentChunks,
    SummaryFormat format,
    ClusterFormat clusters,
    Formats chunks) {
  static final ChunkGrid GRID = ChunkGrid.PAPER;

  /** Clusters of every layer but those with centroids: several segments of a long sequence. */
  private static final ClusterFormat OF_TOKENS = new ClusterFormat(16, 128, Members.TOKENS, 8);

  private static final ClusterFormat OF_TOKENS_BY_KEYS =
      new ClusterFormat(16, 128, Members.TOKENS_BY_KEYS, 8);

  private static final ClusterFormat OF_CHUNKS = new ClusterFormat(32, 256, Members.CHUNKS, 8);

  /** Index of the layer that is tested, of two. */
  static final int LAYER = 1;

  private static final int[] HEAD_DIMS = {64, 96, 128};

  /** A layer for each number of queries per KV head, 1 to 8; all head dimensions in both types. */
  static List<LayerSizes> groups() {
    List<LayerSizes> all = new ArrayList<>();
    for (int group = 1; group <= 8; group++) {
      all.add(
          new LayerSizes(
              group % 2 == 0 ? KvType.F32 : KvType.BF16,
              group,
              1 + group % 3,
              HEAD_DIMS[(group - 1) % 3],
              11,
              10,
              GRID.firstToken(67) + GRID.local(),
              67,
              67,
              3,
              SummaryFormat.twoBit(),
              OF_TOKENS,
              Formats.of(group % 2 == 0 ? KvType.F32 : KvType.BF16)));
    }
    return all;
  }

  /** Those of {@link #groups}, and some with every other format of an index. */
  static List<LayerSizes> formats() {
    List<LayerSizes> all = new ArrayList<>(groups());
    int[] bits = {64, 192, 128};
    for (int i = 0; i < bits.length; i++) {
      all.add(groups().get(2 * i).withFormat(SummaryFormat.bitPlanes(bits[i])));
    }
    SummaryFormat[] others = {
      SummaryFormat.mean(), SummaryFormat.landmark(), SummaryFormat.minMax()
    };
    for (int i = 0; i < 2 * others.length; i++) {
      all.add(groups().get(i + 1).withFormat(others[i % others.length]));
    }
    return all;
  }

  LayerSizes withFormat(SummaryFormat of) {
    return with(of, clusters);
  }

  /** With clusters of tokens by their keys alone. */
  LayerSizes withKeyClusters() {
    return with(format, OF_TOKENS_BY_KEYS);
  }

  /** With clusters whose elements have 4 bits. */
  LayerSizes withNibbles() {
    return with(format, clusters.inNibbles());
  }

  /** With clusters of chunks by their means. */
  LayerSizes withCentroids() {
    return with(SummaryFormat.mean(), OF_CHUNKS);
  }

  private LayerSizes with(SummaryFormat of, ClusterFormat clusters) {
    return new LayerSizes(
        type,
        group,
        kvHeads,
        headDim,
        seats,
        rows,
        maxTokens,
        window,
        passChunks,
        extentChunks,
        of,
        clusters,
        chunks);
  }

  LayerSizes withWindow(int slots, int pass) {
    return new LayerSizes(
        type,
        group,
        kvHeads,
        headDim,
        seats,
        rows,
        maxTokens,
        slots,
        pass,
        extentChunks,
        format,
        clusters,
        chunks);
  }

  LayerSizes withRows(int count) {
    return new LayerSizes(
        type,
        group,
        kvHeads,
        headDim,
        seats,
        count,
        maxTokens,
        window,
        passChunks,
        extentChunks,
        format,
        clusters,
        chunks);
  }

  LayerSizes withType(KvType kvType) {
    return new LayerSizes(
        kvType,
        group,
        kvHeads,
        headDim,
        seats,
        rows,
        maxTokens,
        window,
        passChunks,
        extentChunks,
        format,
        clusters,
        Formats.of(kvType));
  }

  LayerSizes withChunks(Formats of) {
    return new LayerSizes(
        type,
        group,
        kvHeads,
        headDim,
        seats,
        rows,
        maxTokens,
        window,
        passChunks,
        extentChunks,
        format,
        clusters,
        of);
  }

  LayerSizes withHeadDim(int elements) {
    return new LayerSizes(
        type,
        group,
        kvHeads,
        elements,
        seats,
        rows,
        maxTokens,
        window,
        passChunks,
        extentChunks,
        format,
        clusters,
        chunks);
  }

  /**
   * All pairs of formats that have int8 in them, of both types and all head dimensions, one of
   * which fills no whole vectors and whose halves are filled up.
   */
  static List<LayerSizes> int8() {
    List<LayerSizes> all = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      LayerSizes sizes = groups().get(i);
      ChunkFormat plain = ChunkFormat.of(sizes.type());
      all.add(sizes.withChunks(new Formats(plain, ChunkFormat.INT8)));
      all.add(sizes.withChunks(new Formats(ChunkFormat.INT8, ChunkFormat.INT8)));
    }
    for (LayerSizes sizes : List.copyOf(all.subList(0, 4))) {
      all.add(sizes.withHeadDim(44));
    }
    return all;
  }

  /** Those of {@link #groups} and {@link #int8}. */
  static List<LayerSizes> ofAllChunks() {
    List<LayerSizes> all = new ArrayList<>(groups());
    all.addAll(int8());
    return all;
  }

  KvLayout layout() {
    return new KvLayout(LAYER + 1, kvHeads, headDim, type, chunks, GRID, extentChunks);
  }

  AttentionShape shape() {
    return new AttentionShape(heads(), kvHeads, headDim, (float) (1 / Math.sqrt(headDim)));
  }

  int heads() {
    return group * kvHeads;
  }

  int maxChunks() {
    return GRID.closedChunks(maxTokens);
  }

  int maxExtents() {
    return layout().extents(maxChunks());
  }

  /** Window slots of a (seat, KV head). */
  int windowSlots(int seat, int head) {
    return window + 3 * head + seat % 3;
  }

  /** {@code [seats][kvHeads + 1]}: seats do not lie in their order. */
  int[] slotBase() {
    int[] base = new int[seats * (kvHeads + 1)];
    int next = 0;
    for (int i = 0; i < seats; i++) {
      int seat = seats - 1 - i;
      for (int head = 0; head < kvHeads; head++) {
        base[seat * (kvHeads + 1) + head] = next;
        next += windowSlots(seat, head);
      }
      base[seat * (kvHeads + 1) + kvHeads] = next;
    }
    return base;
  }

  /** {@code [allSlots]}: the slots of a window do not lie together. */
  int[] slotTable() {
    int all = allSlots();
    int step = 7;
    while (BigInteger.valueOf(all).gcd(BigInteger.valueOf(step)).intValue() != 1) {
      step++;
    }
    int[] table = new int[all];
    for (int i = 0; i < all; i++) {
      table[i] = (int) ((long) i * step % all);
    }
    return table;
  }

  int fewestSlots() {
    return window;
  }

  int mostSlots() {
    return window + 3 * (kvHeads - 1) + 2;
  }

  /** Slots of all seats. */
  int allSlots() {
    return slotBase()[kvHeads];
  }

  /** Passes over a selection of {@code chunks} chunks. */
  int passes(int chunks) {
    return Math.ceilDiv(chunks, passChunks);
  }

  /** For arithmetic of the plan that asks for a model. */
  ModelGeometry geometry() {
    return new ModelGeometry(
        "conformance",
        new ModelShape(LAYER + 1, heads() * headDim, heads(), kvHeads, headDim, 8, 8),
        maxTokens,
        0);
  }

  @Override
  public String toString() {
    return "%d x %d queries of %d, %s, window %d, passes of %d, %s, %s, %s from %s"
        .formatted(
            kvHeads,
            group,
            headDim,
            type,
            window,
            passChunks,
            format,
            clusters.word(),
            chunks.resident(),
            chunks.backing());
  }
}

package dev.kvdrive.device;

import com.google.errorprone.annotations.FormatMethod;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.Workspace;

/**
 * What the arguments of an operation check when they are made, against the sizes of the memory they
 * name, so that backends may address memory without bounds. What lies <i>in</i> device memory
 * (tokens, seats, positions, maps) is the engine's to keep in range.
 */
final class Checks {
  private Checks() {}

  /** {@code rows} rows of {@code width} elements. */
  static void view(String name, Activations view, int rows, int width) {
    ElementType type = view.type();
    positive("rows", rows);
    positive("width", width);
    require(
        view.offset() >= 0 && (rows == 1 || view.stride() >= width),
        "%s: rows of %d elements at offset %d and stride %d overlap",
        name,
        width,
        view.offset(),
        view.stride());
    long elements = view.offset() + (rows - 1L) * view.stride() + width;
    require(
        elements * type.bytes() <= view.buffer().bytes(),
        "%s: %d rows of %d elements reach to element %d, %s has %d bytes",
        name,
        rows,
        width,
        elements,
        view.buffer().label(),
        view.buffer().bytes());
  }

  static void words(String name, DeviceBuffer buffer, long words) {
    bytes(name, buffer, 4 * words);
  }

  static void bytes(String name, DeviceBuffer buffer, long bytes) {
    require(
        buffer.bytes() >= bytes,
        "%s needs %d bytes, %s has %d",
        name,
        bytes,
        buffer.label(),
        buffer.bytes());
  }

  static void vector(Weight weight, int width) {
    require(
        weight.rows() == 1 && weight.cols() == width,
        "%s is %d x %d, not a vector of %d",
        weight.name(),
        weight.rows(),
        weight.cols(),
        width);
  }

  static int kvWidth(KvLayout layout) {
    return layout.kvHeads() * layout.headDim();
  }

  static void check(StepBatch batch) {
    positive("rows", batch.rows());
    words("tokens", batch.tokens(), batch.rows());
    words("positions", batch.positions(), batch.rows());
    words("seats", batch.seats(), batch.rows());
    words("select counts", batch.selectCounts(), batch.rows());
    if (batch.mayMiss() != null) {
      words("shares that may be missed", batch.mayMiss(), batch.rows());
    }
  }

  static void check(KvLayer layer) {
    KvLayout layout = layer.layout();
    ChunkGrid grid = layout.grid();
    long cells = (long) layer.seats() * layout.kvHeads();
    LayerWindow window = layer.window();
    require(
        window.fewest() <= window.most() && window.fewest() <= window.slots(),
        "%d slots for windows of %d to %d",
        window.slots(),
        window.fewest(),
        window.most());
    words("slot base", window.slotBase(), layer.seats() * (layout.kvHeads() + 1L));
    words("slot table", window.slotTable(), window.slots());
    bytes("window", window.chunks(), (long) window.slots() * layout.resident().bytes());
    words("slot of chunk", window.slotOfChunk(), cells * layer.maxChunks());
    words("chunk of slot", window.chunkOfSlot(), window.slots());
    words("key of slot", window.keyOfSlot(), window.slots());
    words("uses of slot", window.usesOfSlot(), window.slots());
    bytes("dense", layer.dense(), cells * 2 * grid.denseTokens() * layout.rowBytes());
    words("frame of extent", layer.frameOfExtent(), cells * layer.maxExtents());
    words("last use", layer.lastUse(), cells * layer.maxExtents());
    if (layer.index().summaries() != null) {
      checkSummaries(layer);
    }
    if (layer.index().clusters() != null) {
      checkClusters(layer);
    }
  }

  /** That the layer has clusters. */
  static void checkClusters(KvLayer layer) {
    LayerClusters clusters = layer.index().clusters();
    if (clusters == null) {
      throw new IllegalArgumentException(
          "the index of layer %d has no clusters: there is nothing to estimate or choose by"
              .formatted(layer.layer()));
    }
    KvLayout layout = layer.layout();
    ClusterFormat format = clusters.format();
    require(
        format.tokens() % layout.grid().chunk() == 0,
        "clusters of %d tokens are no whole chunks of %d",
        format.tokens(),
        layout.grid().chunk());
    long cells = (long) layer.seats() * layout.kvHeads();
    int most = format.clusters(layout, layer.maxChunks());
    require(most <= ClusterFormat.MOST, "%d clusters are more than have a number", most);
    bytes("clusters", clusters.table(), cells * most * format.bytes(layout));
    bytes(
        "cluster of member",
        clusters.clusterOfMember(),
        cells * layer.maxChunks() * format.ofChunk(layout) * Short.BYTES);
    words("chunks in clusters", clusters.clustered(), cells);
    words("bases of clusters", clusters.bases(), cells * format.baseFloats(layout));
    require(
        format.estimates() || layer.index().format() instanceof SummaryFormat.Mean,
        "chunks are clustered by their means, an index of format %s has none",
        layer.index().format().word());
  }

  /** That the layer has clusters of tokens. */
  static void checkClustersOfTokens(KvLayer layer) {
    checkClusters(layer, true);
  }

  /** That the layer has clusters of chunks. */
  static void checkClustersOfChunks(KvLayer layer) {
    checkClusters(layer, false);
  }

  private static void checkClusters(KvLayer layer, boolean ofTokens) {
    checkClusters(layer);
    require(
        layer.index().clustering().format().estimates() == ofTokens,
        "the clusters of layer %d are of %s, not of %s",
        layer.layer(),
        ofTokens ? "chunks" : "tokens",
        ofTokens ? "tokens" : "chunks");
  }

  /** That the layer has an index of summaries. */
  static void checkSummaries(KvLayer layer) {
    DeviceBuffer summaries = layer.index().summaries();
    if (summaries == null) {
      throw new IllegalArgumentException(
          "the index of layer %d keeps no summaries: there is nothing to score"
              .formatted(layer.layer()));
    }
    long cells = (long) layer.seats() * layer.layout().kvHeads();
    long perCell = layer.index().format().indexBytes(layer.layout(), layer.maxChunks());
    bytes("summaries", summaries, cells * perCell);
    int codebook = layer.index().format().codebookBytes(layer.layout());
    if (codebook > 0) {
      bytes("codebook", layer.index().codebooks(), (long) layer.layout().kvHeads() * codebook);
    }
  }

  static void check(KvLayer layer, LayerReuse reuse) {
    long cells = (long) layer.seats() * layer.layout().kvHeads();
    words("last selected", reuse.lastSelected(), cells * layer.maxChunks());
    words("ages", reuse.ages(), cells * LayerReuse.CLASSES);
  }

  static void check(KvLayer layer, AttentionShape shape) {
    KvLayout layout = layer.layout();
    require(
        shape.kvHeads() == layout.kvHeads() && shape.headDim() == layout.headDim(),
        "attention over %d KV heads of %d elements, but the layer has %d of %d",
        shape.kvHeads(),
        shape.headDim(),
        layout.kvHeads(),
        layout.headDim());
  }

  static void check(StepBatch batch, KvLayer layer, Selection selection) {
    require(
        batch.rows() <= selection.maxRows() && layer.maxChunks() <= selection.maxChunks(),
        "a selection for %d rows of %d chunks is too small for %d rows of %d",
        selection.maxRows(),
        selection.maxChunks(),
        batch.rows(),
        layer.maxChunks());
    positive("pass chunks", selection.passChunks());
    long cells = (long) selection.maxRows() * layer.layout().kvHeads();
    words("scores", selection.scores(), cells * selection.maxChunks());
    words("selected", selection.selected(), cells * selection.maxSelected());
    words("selected count", selection.selectedCount(), cells);
    words("slots", selection.slots(), cells * selection.passChunks());
    words("misses", selection.misses(), cells * selection.passChunks());
    words("miss count", selection.missCount(), cells);
    words("counters", selection.counters(), (long) selection.maxRows() * Selection.COUNTERS);
  }

  static void check(Selection selection, int pass) {
    require(
        pass >= 0 && (long) pass * selection.passChunks() <= selection.maxSelected(),
        "pass %d of %d chunks lies behind a selection of %d",
        pass,
        selection.passChunks(),
        selection.maxSelected());
  }

  static void check(StepBatch batch, KvLayout layout, Selection selection, Mailbox mailbox) {
    long capacity = (long) batch.rows() * layout.kvHeads() * selection.passChunks();
    require(
        mailbox.capacity() >= capacity,
        "a mailbox of %d requests is too small for %d",
        mailbox.capacity(),
        capacity);
    require(
        mailbox.control().bytes() >= Mailbox.controlBytes(mailbox.capacity())
            && mailbox.transit().bytes() >= (long) mailbox.capacity() * layout.backing().bytes(),
        "a mailbox of %d requests has %d control and %d transit bytes, too few",
        mailbox.capacity(),
        mailbox.control().bytes(),
        mailbox.transit().bytes());
  }

  static void check(StepBatch batch, KvLayer layer, AttentionShape shape, AttentionState state) {
    require(
        batch.rows() <= state.maxRows(),
        "an attention state for %d rows is too small for %d",
        state.maxRows(),
        batch.rows());
    long perHead =
        4L * (2 + shape.headDim()) * (1 + Workspace.ATTENTION_SPLITS)
            + 4L * state.passChunks() * layer.layout().grid().chunk();
    bytes("attention state", state.buffer(), state.maxRows() * (long) shape.heads() * perHead);
  }

  static void check(Selection selection, AttentionState state) {
    require(
        selection.passChunks() <= state.passChunks(),
        "an attention state for passes of %d chunks is too small for %d",
        state.passChunks(),
        selection.passChunks());
  }

  static void check(KvLayout layout, FramePool frames) {
    require(
        frames.frames() >= 0
            && frames.memory().bytes() >= (long) frames.frames() * layout.extentBytes(),
        "%d frames of %d bytes do not fit %s of %d bytes",
        frames.frames(),
        layout.extentBytes(),
        frames.memory().label(),
        frames.memory().bytes());
  }

  static void check(KvLayout layout, PrefillScratch scratch, int start, int rows) {
    require(
        start >= 0 && rows >= 1 && start <= scratch.maxTokens() - rows,
        "tokens %d to %d are not within a scratch of %d",
        start,
        (long) start + rows,
        scratch.maxTokens());
    bytes(
        "prefill scratch",
        scratch.buffer(),
        2L * layout.kvHeads() * scratch.maxTokens() * layout.rowBytes());
  }

  static void checkSeat(KvLayer layer, int seat) {
    require(seat >= 0 && seat < layer.seats(), "seat %d is not one of %d", seat, layer.seats());
  }

  static int positive(String name, int value) {
    if (value < 1) {
      throw new IllegalArgumentException(name + " must be positive, got " + value);
    }
    return value;
  }

  @FormatMethod
  static void require(boolean holds, String message, Object... values) {
    if (!holds) {
      throw new IllegalArgumentException(message.formatted(values));
    }
  }
}

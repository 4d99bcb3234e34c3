package dev.kvdrive.cuda;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.LayerWindow;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.SummaryFormat;

/**
 * The verbs as kernel launches, and how structs are written that several of them take. Shapes are
 * checked by the verbs' arguments; what is checked here is what the kernels cannot do.
 *
 * <p>Grids depend on sizes that a recording fixes (rows, heads, the most chunks a seat can have),
 * never on what lies in device memory; blocks without work end at once.
 */
final class CudaOperations {
  private CudaOperations() {}

  static Operations of(Gpu gpu) {
    return new Operations(
        new CudaTensor(gpu),
        new CudaKv(gpu),
        new CudaIndex(gpu),
        new CudaWindow(gpu),
        new CudaAttention(gpu));
  }

  // --- structs within structs ---

  static Arguments rows(Arguments a, Struct.Field field, Activations view) {
    int at = field.offset();
    return a.put(at, Structs.ROWS.data, address(view))
        .put(at, Structs.ROWS.stride, (long) view.stride());
  }

  static Arguments layer(Arguments a, Struct.Field field, KvLayer layer) {
    Structs.Layer s = Structs.LAYER;
    KvLayout layout = layer.layout();
    ChunkGrid grid = layout.grid();
    LayerWindow window = layer.window();
    DeviceBuffer summaries = layer.index().summaries();
    DeviceBuffer codebooks = layer.index().codebook();
    LayerClusters clusters = layer.index().clusters();
    SummaryFormat format = layer.index().format();
    int bits = format instanceof SummaryFormat.BitPlanes planes ? planes.bits() : 0;
    int at = field.offset();
    return a.put(at, s.dense, CudaQueue.address(layer.dense()))
        .put(at, s.summaries, summaries == null ? 0L : CudaQueue.address(summaries))
        .put(at, s.codebooks, codebooks == null ? 0L : CudaQueue.address(codebooks))
        .put(at, s.window, CudaQueue.address(window.chunks()))
        .put(at, s.slotBase, CudaQueue.address(window.slotBase()))
        .put(at, s.slotTable, CudaQueue.address(window.slotTable()))
        .put(at, s.slotOfChunk, CudaQueue.address(window.slotOfChunk()))
        .put(at, s.chunkOfSlot, CudaQueue.address(window.chunkOfSlot()))
        .put(at, s.keyOfSlot, CudaQueue.address(window.keyOfSlot()))
        .put(at, s.usesOfSlot, CudaQueue.address(window.usesOfSlot()))
        .put(at, s.frameOfExtent, CudaQueue.address(layer.frameOfExtent()))
        .put(at, s.lastUse, CudaQueue.address(layer.lastUse()))
        .put(at, s.clusters, clusters == null ? 0L : CudaQueue.address(clusters.table()))
        .put(
            at,
            s.clusterOfMember,
            clusters == null ? 0L : CudaQueue.address(clusters.clusterOfMember()))
        .put(at, s.clustered, clusters == null ? 0L : CudaQueue.address(clusters.clustered()))
        .put(
            at,
            s.clusterBases,
            clusters == null || !clusters.format().comparesValues()
                ? 0L
                : CudaQueue.address(clusters.bases()))
        .put(at, s.extentBytes, (long) layout.extentBytes())
        .put(at, s.layer, layer.layer())
        .put(at, s.kvHeads, layout.kvHeads())
        .put(at, s.headDim, layout.headDim())
        .put(at, s.elementBytes, layout.type().bytes())
        .put(at, s.backingElementBytes, layout.formats().backing().bytes())
        .put(at, s.backingHalf, layout.backing().valueOffset())
        .put(at, s.residentElementBytes, layout.formats().resident().bytes())
        .put(at, s.residentHalf, layout.resident().valueOffset())
        .put(at, s.maxChunks, layer.maxChunks())
        .put(at, s.maxExtents, layer.maxExtents())
        .put(at, s.sink, grid.sink())
        .put(at, s.local, grid.local())
        .put(at, s.chunk, grid.chunk())
        .put(at, s.extentChunks, layout.extentChunks())
        .put(at, s.bits, bits)
        .put(at, s.summaryBytes, format.bytes(layout))
        .put(at, s.summaryChunks, format.chunks())
        .put(at, s.maxSummaries, format.summaries(layer.maxChunks()))
        .put(at, s.clusterTokens, clusters == null ? 0 : clusters.format().tokens())
        .put(
            at,
            s.maxClusters,
            clusters == null ? 0 : clusters.format().clusters(layout, layer.maxChunks()))
        .put(at, s.clusterRows, clusters == null ? 0 : clusters.format().ofChunk(layout))
        .put(at, s.nibbles, clusters != null && clusters.format().nibbles() ? 1 : 0);
  }

  static Arguments batch(Arguments a, Struct.Field field, StepBatch batch) {
    int at = field.offset();
    return a.put(at, Structs.BATCH.positions, CudaQueue.address(batch.positions()))
        .put(at, Structs.BATCH.seats, CudaQueue.address(batch.seats()))
        .put(at, Structs.BATCH.selectCounts, CudaQueue.address(batch.selectCounts()))
        .put(
            at,
            Structs.BATCH.mayMiss,
            batch.mayMiss() == null ? 0 : CudaQueue.address(batch.mayMiss()));
  }

  static Arguments chosen(Arguments a, Struct.Field field, Selection selection) {
    Structs.Chosen s = Structs.CHOSEN;
    int at = field.offset();
    return a.put(at, s.scores, CudaQueue.address(selection.scores()))
        .put(at, s.selected, CudaQueue.address(selection.selected()))
        .put(at, s.selectedCount, CudaQueue.address(selection.selectedCount()))
        .put(at, s.slots, CudaQueue.address(selection.slots()))
        .put(at, s.misses, CudaQueue.address(selection.misses()))
        .put(at, s.missCount, CudaQueue.address(selection.missCount()))
        .put(at, s.counters, CudaQueue.address(selection.counters()))
        .put(at, s.maxRows, selection.maxRows())
        .put(at, s.maxChunks, selection.maxChunks())
        .put(at, s.maxSelected, selection.maxSelected())
        .put(at, s.passChunks, selection.passChunks());
  }

  /** The struct of best, key, diff and recent. */
  static Arguments select(Arguments a, LayerStep step, Selection selection, int pass) {
    layer(a, Structs.SELECT.layer, step.layer());
    batch(a, Structs.SELECT.batch, step.batch());
    return chosen(a, Structs.SELECT.chosen, selection).put(Structs.SELECT.pass, pass);
  }

  // --- memory ---

  /** Address of the first row of a view of the device's activations. */
  static long address(Activations view) {
    if (view.type() != ElementType.BF16) {
      throw new IllegalArgumentException(
          "%s has %s elements; activations of the CUDA device are BF16"
              .formatted(view.buffer().label(), view.type()));
    }
    return anyAddress(view);
  }

  /** Address of the first row of a view, of whatever elements. */
  static long anyAddress(Activations view) {
    return CudaQueue.address(view.buffer()) + (long) view.type().bytes() * view.offset();
  }

  static long address(FramePool frames) {
    return ((CudaHostBuffer) frames.memory()).address();
  }

  /** Bytes of a bit for each of {@code count}, in words. */
  static int bits(int count) {
    return 4 * Math.ceilDiv(count, 32);
  }

  // --- what kernels can do ---

  static void requireKernelsFor(KvLayout layout) {
    requireHead(layout);
    requireAtMost("tokens of a chunk", layout.grid().chunk(), Constants.MAX_CHUNK);
  }

  static void requireHead(KvLayout layout) {
    requireAtMost("elements of a head", layout.headDim(), Constants.MAX_HEAD_DIM);
  }

  static void requireAtMost(String what, int count, int most) {
    if (count > most) {
      throw new IllegalArgumentException(
          "%d %s, but the CUDA kernels take %d at most".formatted(count, what, most));
    }
  }
}

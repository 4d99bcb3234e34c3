package dev.kvdrive.kv.window;

import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.ExtentArrays;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.device.LayerIndex;
import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.device.LayerWindow;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.index.Codebook;
import dev.kvdrive.kv.index.IndexCalibration;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.Workspace;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * All KV state in device memory: windows, index, sink and ring and maps of every layer, and the
 * workspaces of selection, attention and prefill. Allocated once by the plan's sizes and freed as a
 * whole; sequences take and leave seats in it.
 */
public final class KvState implements AutoCloseable {
  private static final int EMPTY = -1;

  private @Nullable Windows windows;
  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private final Device device;
  private final ExtentArrays extents;
  private final List<KvLayer> layers;
  private final List<LayerReuse> reuse;
  private final DeviceBuffer stepCounters;
  private final Selection selection;
  private final Selection prefetched;
  private final @Nullable DeviceBuffer prefetchMarks;
  private final AttentionState attention;
  private final List<PrefillScratch> scratches;

  private KvState(
      Device device, Queue queue, EngineSizes sizes, @Nullable IndexCalibration calibration) {
    this.device = device;
    KvLayout layout = sizes.layout();
    int rows = sizes.concurrency();
    int heads = layout.kvHeads();
    int pass = sizes.passChunks();
    try {
      long words = (long) layout.layers() * rows * heads * layout.extents(sizes.maxChunks());
      extents =
          new ExtentArrays(
              allocate("frames of extents", 4 * words),
              allocate("last uses of extents", 4 * words),
              allocate("changed frames", Workspace.changeBytes(layout, rows, sizes.maxChunks())));
      Pool pool = allocatePool(sizes);
      List<KvLayer> all = new ArrayList<>();
      for (int layer = 0; layer < layout.layers(); layer++) {
        all.add(allocateLayer(sizes, pool, layer));
      }
      layers = List.copyOf(all);
      reuse = allocateReuse(sizes);
      stepCounters = allocate("counters", 2 * 4L * rows * Selection.COUNTERS);
      selection =
          new Selection(
              rows,
              sizes.maxChunks(),
              sizes.mostSelected(),
              pass,
              allocate("scores", 4L * rows * heads * sizes.maxChunks()),
              allocate("selected chunks", 4L * rows * heads * sizes.mostSelected()),
              allocate("selected counts", 4L * rows * heads),
              allocate("slots of the pass", 4L * rows * heads * pass),
              allocate("misses of the pass", 4L * rows * heads * pass),
              allocate("miss counts", 4L * rows * heads),
              counters(0));
      prefetched =
          new Selection(
              rows,
              selection.maxChunks(),
              selection.maxSelected(),
              pass,
              selection.scores(),
              selection.selected(),
              selection.selectedCount(),
              selection.slots(),
              selection.misses(),
              selection.missCount(),
              counters(1));
      prefetchMarks = allocateMarks(sizes);
      attention =
          new AttentionState(
              rows,
              pass,
              allocate(
                  "attention state",
                  Workspace.attentionBytes(sizes.geometry(), layout.grid(), rows, pass)));
      List<PrefillScratch> prompts = new ArrayList<>();
      if (sizes.shortPrompt() > 0) {
        prompts.add(allocateScratch(layout, sizes.shortPrompt(), "prefill scratch, short prompts"));
      }
      prompts.add(allocateScratch(layout, sizes.contextLength(), "prefill scratch"));
      scratches = List.copyOf(prompts);
      DeviceBuffer keep = allocate("slots kept", 4L * rows * heads);
      clear(queue);
      windows = new Windows(device, queue, sizes, layers, pool.bases(), reuse, keep);
      if (sizes.policy().summary() instanceof SummaryFormat.BitPlanes format) {
        writeCodebooks(queue, sizes, format.bits(), calibration);
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** Like the other, for an index that needs no calibration. */
  public static KvState allocate(Device device, Queue queue, EngineSizes sizes) {
    return new KvState(device, queue, sizes, null);
  }

  /**
   * Allocates everything and empties every seat.
   *
   * @param queue used for the initial contents; synchronised on return
   * @param calibration of the model, where the index needs one
   * @throws dev.kvdrive.device.DeviceMemoryException if it does not fit; nothing stays allocated
   */
  public static KvState allocate(
      Device device, Queue queue, EngineSizes sizes, @Nullable IndexCalibration calibration) {
    return new KvState(device, queue, sizes, calibration);
  }

  private KvLayer allocateLayer(EngineSizes sizes, Pool pool, int layer) {
    KvLayout layout = sizes.layout();
    long heads = (long) sizes.concurrency() * layout.kvHeads();
    int chunks = sizes.maxChunks();
    String in = " of layer " + layer;
    return new KvLayer(
        layout,
        layer,
        sizes.concurrency(),
        chunks,
        allocate("sink and ring" + in, heads * 2 * layout.grid().denseTokens() * layout.rowBytes()),
        allocateIndex(sizes, heads, in),
        allocateWindow(sizes, pool, layer),
        ofLayer(extents.frameOfExtent(), layout, layer),
        ofLayer(extents.lastUse(), layout, layer));
  }

  private DeviceSlice counters(int half) {
    long bytes = stepCounters.bytes() / 2;
    return new DeviceSlice(stepCounters, half * bytes, bytes);
  }

  private static DeviceSlice ofLayer(DeviceBuffer all, KvLayout layout, int layer) {
    long bytes = all.bytes() / layout.layers();
    return new DeviceSlice(all, layer * bytes, bytes);
  }

  private LayerIndex allocateIndex(EngineSizes sizes, long heads, String in) {
    KvLayout layout = sizes.layout();
    SummaryFormat format = sizes.policy().summary();
    long bytes = heads * sizes.indexBytes();
    long codebooks = (long) layout.kvHeads() * format.codebookBytes(layout);
    return new LayerIndex(
        format,
        bytes == 0 ? null : allocate("summaries" + in, bytes),
        codebooks == 0 ? null : allocate("codebooks" + in, codebooks),
        allocateClusters(sizes, heads, in));
  }

  private @Nullable LayerClusters allocateClusters(EngineSizes sizes, long heads, String in) {
    ClusterFormat format = sizes.policy().clusters();
    if (format == null) {
      return null;
    }
    KvLayout layout = sizes.layout();
    int clusters = format.clusters(layout, sizes.maxChunks());
    long members = heads * sizes.maxChunks() * format.ofChunk(layout);
    return new LayerClusters(
        format,
        allocate("clusters" + in, heads * clusters * format.bytes(layout)),
        allocate("cluster of member" + in, Short.BYTES * members),
        allocate("chunks in clusters" + in, Integer.BYTES * heads),
        allocate("bases of clusters" + in, Float.BYTES * heads * format.baseFloats(layout)));
  }

  private void writeCodebooks(
      Queue queue, EngineSizes sizes, int bits, @Nullable IndexCalibration calibration) {
    if (calibration == null) {
      throw new IllegalArgumentException(
          "an index of %d bits a key needs a calibration of the model".formatted(bits));
    }
    KvLayout layout = sizes.layout();
    if (calibration.layers().size() != layout.layers()
        || calibration.kvHeads() != layout.kvHeads()
        || calibration.headDim() != layout.headDim()) {
      throw new IllegalArgumentException(
          "the calibration is of %d layers of %d KV heads of %d elements, the model has %d of %d of %d; calibrate this model"
              .formatted(
                  calibration.layers().size(),
                  calibration.kvHeads(),
                  calibration.headDim(),
                  layout.layers(),
                  layout.kvHeads(),
                  layout.headDim()));
    }
    BitPlaneSummary format = BitPlaneSummary.of(layout, bits);
    long bytes = (long) layout.kvHeads() * format.codebookBytes();
    try (HostBuffer host = device.allocateHost("codebooks of a layer", bytes)) {
      for (KvLayer layer : layers) {
        List<KeyTransform> heads = calibration.layers().get(layer.layer());
        for (int head = 0; head < heads.size(); head++) {
          Codebook.write(
              format, heads.get(head), host.segment(), (long) head * format.codebookBytes());
        }
        queue.upload(host, 0, layer.index().codebooks(), 0, bytes);
        queue.synchronize();
      }
    }
  }

  /** The slots of all windows of all layers. */
  private record Pool(
      int slots,
      int most,
      DeviceBuffer bases,
      DeviceBuffer table,
      DeviceBuffer chunks,
      DeviceBuffer chunkOfSlot,
      DeviceBuffer keyOfSlot,
      DeviceBuffer usesOfSlot) {}

  private Pool allocatePool(EngineSizes sizes) {
    int slots = Math.toIntExact(sizes.allWindowSlots());
    boolean uniform = sizes.windows().division() == WindowOptions.Division.UNIFORM;
    return new Pool(
        slots,
        uniform ? sizes.windowSlots() : sizes.mostWindowSlots(),
        allocate(
            "slot bases",
            4L * sizes.layout().layers() * sizes.concurrency() * (sizes.layout().kvHeads() + 1)),
        allocate("slot table", 4L * slots),
        allocate("windows", (long) slots * sizes.layout().resident().bytes()),
        allocate("chunk of slot", 4L * slots),
        allocate("key of slot", 4L * slots),
        allocate("uses of slot", 4L * slots));
  }

  private LayerWindow allocateWindow(EngineSizes sizes, Pool pool, int layer) {
    long heads = (long) sizes.concurrency() * sizes.layout().kvHeads();
    return new LayerWindow(
        pool.slots(),
        sizes.passChunks(),
        pool.most(),
        ofLayer(pool.bases(), sizes.layout(), layer),
        pool.table(),
        pool.chunks(),
        allocate("slot of chunk of layer " + layer, 4 * heads * sizes.maxChunks()),
        pool.chunkOfSlot(),
        pool.keyOfSlot(),
        pool.usesOfSlot());
  }

  /**
   * Nothing where nobody asks, or every step attends everything: there is nothing to learn from.
   */
  private List<LayerReuse> allocateReuse(EngineSizes sizes) {
    List<LayerReuse> all = new ArrayList<>();
    if (!sizes.notesReuse()) {
      return all;
    }
    long heads = (long) sizes.concurrency() * sizes.layout().kvHeads();
    for (int layer = 0; layer < sizes.layout().layers(); layer++) {
      String in = " of layer " + layer;
      all.add(
          new LayerReuse(
              allocate("last selected" + in, 4 * heads * sizes.maxChunks()),
              allocate("ages" + in, 4 * heads * LayerReuse.CLASSES)));
    }
    return List.copyOf(all);
  }

  private @Nullable DeviceBuffer allocateMarks(EngineSizes sizes) {
    return sizes.windows().prefetch()
        ? allocate("slots prefetched", 4 * sizes.allWindowSlots())
        : null;
  }

  private PrefillScratch allocateScratch(KvLayout layout, int tokens, String label) {
    return new PrefillScratch(
        tokens, allocate(label, Workspace.prefillScratchBytes(layout, tokens)));
  }

  private DeviceBuffer allocate(String label, long bytes) {
    DeviceBuffer buffer = device.allocate(label, bytes);
    buffers.add(buffer);
    return buffer;
  }

  private void clear(Queue queue) {
    if (prefetchMarks != null) {
      queue.fill(prefetchMarks, 0, prefetchMarks.bytes() / 4, 0);
    }
    for (KvLayer layer : layers) {
      LayerWindow window = layer.window();
      queue.fill(window.slotOfChunk(), 0, window.slotOfChunk().bytes() / 4, EMPTY);
    }
    queue.fill(extents.frameOfExtent(), 0, extents.frameOfExtent().bytes() / 4, EMPTY);
    queue.synchronize();
  }

  /** What the device knows of the extents of all layers. */
  public ExtentArrays extents() {
    return extents;
  }

  /** The state of each layer. */
  public List<KvLayer> layers() {
    return layers;
  }

  /** What is selected again how soon, of each layer; empty where nothing is observed. */
  public List<LayerReuse> reuse() {
    return windows().observes() ? reuse : List.of();
  }

  /** The windows of all seats. */
  public Windows windows() {
    return Objects.requireNonNull(windows);
  }

  /** Workspace of selection and diff. */
  public Selection selection() {
    return selection;
  }

  /** The same workspace with counters of its own, for what is brought before it is needed. */
  public Selection prefetched() {
    return prefetched;
  }

  /** The counters of {@link #selection} and, behind them, those of {@link #prefetched}. */
  public DeviceBuffer stepCounters() {
    return stepCounters;
  }

  /** Which slots of the pool a prefetch has filled; null where nothing is prefetched. */
  public @Nullable DeviceBuffer prefetchMarks() {
    return prefetchMarks;
  }

  /** Running softmax state. */
  public AttentionState attention() {
    return attention;
  }

  /**
   * Keys and values of the layers that are being prefilled, each of one prompt at a time; the
   * smallest first, the last as long as the context.
   */
  public List<PrefillScratch> scratches() {
    return scratches;
  }

  /** Gives a seat its windows and empties them and its maps in all layers. */
  public void reset(Queue queue, Operations operations, int seat) {
    windows().open(queue, seat);
    for (KvLayer layer : layers) {
      operations.kv().reset(queue, new KvOperations.Reset(layer, seat));
    }
  }

  @Override
  public void close() {
    if (windows != null) {
      windows.close();
    }
    buffers.forEach(DeviceBuffer::close);
  }
}

package dev.kvdrive.kv.window;

import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.LayerClusters;
import dev.kvdrive.device.LayerIndex;
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
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * All KV state in device memory: windows, index, sink and ring and maps of every layer, and the
 * workspaces of selection, attention and prefill. Allocated once by the plan's sizes and freed as a
 * whole; sequences take and leave seats in it.
 */
public final class KvState implements AutoCloseable {
  private static final int EMPTY = -1;

  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private final Device device;
  private final List<KvLayer> layers;
  private final Selection selection;
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
      List<KvLayer> all = new ArrayList<>();
      for (int layer = 0; layer < layout.layers(); layer++) {
        all.add(allocateLayer(sizes, layer));
      }
      layers = List.copyOf(all);
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
              allocate("counters", 4L * rows * Selection.COUNTERS));
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
      clear(queue, sizes);
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

  private KvLayer allocateLayer(EngineSizes sizes, int layer) {
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
        allocateWindow(sizes, heads, in),
        allocate("frame of extent" + in, 4 * heads * layout.extents(chunks)),
        allocate("last use" + in, 4 * heads * layout.extents(chunks)));
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
    long tokens = heads * sizes.maxChunks() * layout.grid().chunk();
    return new LayerClusters(
        format,
        allocate("clusters" + in, heads * clusters * format.bytes(layout)),
        allocate("cluster of token" + in, Short.BYTES * tokens),
        allocate("chunks in clusters" + in, Integer.BYTES * heads));
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

  private LayerWindow allocateWindow(EngineSizes sizes, long heads, String in) {
    long slots = heads * sizes.windowSlots();
    return new LayerWindow(
        Math.toIntExact(slots),
        sizes.windowSlots(),
        sizes.windowSlots(),
        allocate("slot bases" + in, 4L * sizes.concurrency() * (sizes.layout().kvHeads() + 1)),
        allocate("window" + in, slots * sizes.layout().resident().bytes()),
        allocate("slot of chunk" + in, 4 * heads * sizes.maxChunks()),
        allocate("chunk of slot" + in, 4 * slots),
        allocate("key of slot" + in, 4 * slots));
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

  private void clear(Queue queue, EngineSizes sizes) {
    int heads = sizes.layout().kvHeads();
    int seats = sizes.concurrency();
    try (HostBuffer bases = device.allocateHost("slot bases", 4L * seats * (heads + 1))) {
      for (int seat = 0; seat < seats; seat++) {
        for (int head = 0; head <= heads; head++) {
          bases
              .segment()
              .setAtIndex(
                  ValueLayout.JAVA_INT,
                  (long) seat * (heads + 1) + head,
                  (seat * heads + head) * sizes.windowSlots());
        }
      }
      for (KvLayer layer : layers) {
        LayerWindow window = layer.window();
        queue.upload(bases, 0, window.slotBase(), 0, window.slotBase().bytes());
        queue.fill(window.slotOfChunk(), 0, window.slotOfChunk().bytes() / 4, EMPTY);
        queue.fill(window.chunkOfSlot(), 0, window.chunkOfSlot().bytes() / 4, EMPTY);
        queue.fill(layer.frameOfExtent(), 0, layer.frameOfExtent().bytes() / 4, EMPTY);
      }
      queue.synchronize();
    }
  }

  /** The state of each layer. */
  public List<KvLayer> layers() {
    return layers;
  }

  /** Workspace of selection and diff. */
  public Selection selection() {
    return selection;
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

  /** Empties the windows and maps of a seat in all layers. */
  public void reset(Queue queue, Operations operations, int seat) {
    for (KvLayer layer : layers) {
      operations.kv().reset(queue, new KvOperations.Reset(layer, seat));
    }
  }

  @Override
  public void close() {
    buffers.forEach(DeviceBuffer::close);
  }
}

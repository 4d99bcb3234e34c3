package dev.kvdrive.kv.window;

import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

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

  private KvState(Device device, Queue queue, EngineSizes sizes) {
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
              sizes.maxSelected(),
              pass,
              allocate("scores", 4L * rows * heads * sizes.maxChunks()),
              allocate("selected chunks", 4L * rows * heads * sizes.maxSelected()),
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
      clear(queue);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /**
   * Allocates everything and empties every seat.
   *
   * @param queue used for the initial contents; synchronised on return
   * @throws dev.kvdrive.device.DeviceMemoryException if it does not fit; nothing stays allocated
   */
  public static KvState allocate(Device device, Queue queue, EngineSizes sizes) {
    return new KvState(device, queue, sizes);
  }

  private KvLayer allocateLayer(EngineSizes sizes, int layer) {
    KvLayout layout = sizes.layout();
    long heads = (long) sizes.concurrency() * layout.kvHeads();
    int chunks = sizes.maxChunks();
    int[] slots = new int[layout.kvHeads()];
    Arrays.fill(slots, sizes.windowSlots());
    long allSlots = heads * sizes.windowSlots();
    String in = " of layer " + layer;
    return new KvLayer(
        layout,
        layer,
        sizes.concurrency(),
        chunks,
        slots,
        allocate("slot bases" + in, 4L * (layout.kvHeads() + 1)),
        allocate("sink and ring" + in, heads * 2 * layout.grid().denseTokens() * layout.rowBytes()),
        allocate("representatives" + in, heads * chunks * layout.representativeBytes()),
        allocate("window" + in, allSlots * layout.chunkBytes()),
        allocate("slot of chunk" + in, 4 * heads * chunks),
        allocate("chunk of slot" + in, 4 * allSlots),
        allocate("attention of slot" + in, 4 * allSlots),
        allocate("frame of extent" + in, 4 * heads * layout.extents(chunks)),
        allocate("last use" + in, 4 * heads * layout.extents(chunks)));
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
    int heads = layers.getFirst().layout().kvHeads();
    try (HostBuffer bases = device.allocateHost("slot bases", 4L * (heads + 1))) {
      int base = 0;
      int[] slots = layers.getFirst().windowSlots();
      for (int head = 0; head <= heads; head++) {
        bases.segment().setAtIndex(ValueLayout.JAVA_INT, head, base);
        base += head < heads ? slots[head] : 0;
      }
      for (KvLayer layer : layers) {
        queue.upload(bases, 0, layer.slotBase(), 0, layer.slotBase().bytes());
        queue.fill(layer.slotOfChunk(), 0, layer.slotOfChunk().bytes() / 4, EMPTY);
        queue.fill(layer.chunkOfSlot(), 0, layer.chunkOfSlot().bytes() / 4, EMPTY);
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
      operations.resetSeat(queue, layer, seat);
    }
  }

  @Override
  public void close() {
    buffers.forEach(DeviceBuffer::close);
  }
}

package dev.kvdrive.device;

import dev.kvdrive.plan.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** {@link LayerContents} in a device's memory, as the operations take them. */
final class LayerOnDevice {
  final Rig rig;
  final LayerSizes sizes;
  final KvLayer layer;
  final StepBatch batch;
  final Selection selection;
  final AttentionState state;
  final FramePool frames;
  final Mailbox mailbox;
  final Rig.Rows query;

  LayerOnDevice(Rig rig, LayerContents c) {
    this(rig, c, () -> {});
  }

  /**
   * @param doorbell of the mailbox
   */
  LayerOnDevice(Rig rig, LayerContents c, Runnable doorbell) {
    this.rig = rig;
    sizes = c.sizes;
    layer =
        new KvLayer(
            c.layout,
            LayerSizes.LAYER,
            sizes.seats(),
            sizes.maxChunks(),
            sizes.windowSlots(),
            rig.ints("slot base", sizes.slotBase()),
            rig.buffer("dense", Rig.bytes(c.dense, c.type())),
            rig.buffer("representatives", c.representatives),
            rig.buffer("window", Rig.bytes(c.window, c.type())),
            rig.ints("slot of chunk", c.slotOfChunk),
            rig.ints("chunk of slot", c.chunkOfSlot),
            rig.floats("attention of slot", c.attentionOfSlot),
            rig.ints("frame of extent", c.frameOfExtent),
            rig.ints("last use", c.lastUse));
    batch =
        new StepBatch(
            sizes.rows(),
            rig.ints("tokens", c.tokenIds),
            rig.ints("positions", c.positions),
            rig.ints("seats", c.rowSeats),
            rig.ints("select counts", c.selectCounts));
    selection =
        new Selection(
            sizes.rows(),
            sizes.maxChunks(),
            sizes.maxChunks(),
            sizes.passChunks(),
            rig.floats("scores", c.scores),
            rig.ints("selected", c.selected),
            rig.ints("selected count", c.selectedCount),
            rig.ints("slots", c.slots),
            rig.ints("misses", c.misses),
            rig.ints("miss count", c.missCount),
            rig.ints("counters", c.counters));
    state =
        new AttentionState(
            sizes.rows(),
            sizes.passChunks(),
            rig.allocate(
                "attention state",
                Workspace.attentionBytes(
                    sizes.geometry(), LayerSizes.GRID, sizes.rows(), sizes.passChunks())));
    byte[] pool = Rig.bytes(c.frames, c.type());
    frames = new FramePool(rig.allocateHost("frames", pool.length), c.frameCount);
    MemorySegment.copy(pool, 0, frames.memory().segment(), ValueLayout.JAVA_BYTE, 0, pool.length);
    int capacity = sizes.rows() * sizes.kvHeads() * sizes.passChunks();
    mailbox =
        new Mailbox(
            capacity,
            rig.allocateHost("mailbox", Mailbox.controlBytes(capacity)),
            rig.allocateHost("transit", (long) capacity * c.layout.chunkBytes()),
            doorbell);
    query = rig.rows("query", sizes.rows(), sizes.heads() * sizes.headDim(), c.query);
  }

  // --- operations ---

  void select() {
    rig.ops.select(rig.queue, batch, layer, sizes.shape(), query.view(), selection);
  }

  void diff(int pass) {
    rig.ops.diff(rig.queue, batch, layer, selection, pass);
  }

  void fetch(int pass) {
    rig.ops.fetch(rig.queue, batch, layer, selection, pass, frames, mailbox);
  }

  void land(int pass, int timeoutMillis) {
    rig.ops.land(rig.queue, batch, layer, selection, pass, mailbox, timeoutMillis);
  }

  void beginAttention() {
    rig.ops.beginAttention(rig.queue, batch, layer, sizes.shape(), query.view(), state);
  }

  void attendHits(int pass) {
    rig.ops.attendHits(
        rig.queue, batch, layer, sizes.shape(), query.view(), selection, pass, state);
  }

  void attendMisses(int pass) {
    rig.ops.attendMisses(
        rig.queue, batch, layer, sizes.shape(), query.view(), selection, pass, state);
  }

  void finishAttention(Activations out) {
    rig.ops.finishAttention(rig.queue, batch, layer, sizes.shape(), selection, state, out);
  }

  /** Attention over what is selected, as a step runs it on one queue. */
  void attend(int passes, Activations out) {
    beginAttention();
    for (int pass = 0; pass < passes; pass++) {
      diff(pass);
      fetch(pass);
      attendHits(pass);
      land(pass, 20_000);
      attendMisses(pass);
    }
    finishAttention(out);
  }

  /** Output rows for attention. */
  Rig.Rows output() {
    return rig.empty("attention output", sizes.rows(), sizes.heads() * sizes.headDim());
  }

  // --- results ---

  byte[] frameBytes() {
    rig.queue.synchronize();
    return frames.memory().segment().toArray(ValueLayout.JAVA_BYTE);
  }

  byte[] representatives() {
    return rig.read(layer.representatives());
  }

  /** What the integer arrays contain now. */
  LayerResults results() {
    return new LayerResults(this);
  }
}

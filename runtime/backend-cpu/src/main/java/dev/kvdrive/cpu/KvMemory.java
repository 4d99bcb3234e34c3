package dev.kvdrive.cpu;

import dev.kvdrive.device.KvLayer;
import dev.kvdrive.plan.KvLayout;

/** Addresses of what a {@link KvLayer} describes. Valid while its buffers are open. */
final class KvMemory {
  final KvLayer layer;
  final KvLayout layout;
  private final int kvHeads;
  private final int totalSlots;
  private final long dense;
  private final long representatives;
  private final long window;
  private final long slotBase;
  private final long slotOfChunk;
  private final long chunkOfSlot;
  private final long attentionOfSlot;
  private final long frameOfExtent;
  private final long lastUse;

  KvMemory(KvLayer layer) {
    this.layer = layer;
    layout = layer.layout();
    kvHeads = layout.kvHeads();
    totalSlots = layer.totalSlots();
    dense = CpuBuffer.address(layer.dense());
    representatives = CpuBuffer.address(layer.representatives());
    window = CpuBuffer.address(layer.window());
    slotBase = CpuBuffer.address(layer.slotBase());
    slotOfChunk = CpuBuffer.address(layer.slotOfChunk());
    chunkOfSlot = CpuBuffer.address(layer.chunkOfSlot());
    attentionOfSlot = CpuBuffer.address(layer.attentionOfSlot());
    frameOfExtent = CpuBuffer.address(layer.frameOfExtent());
    lastUse = CpuBuffer.address(layer.lastUse());
  }

  private long head(int seat, int head) {
    return (long) seat * kvHeads + head;
  }

  private long slot(int seat, int head) {
    return (long) seat * totalSlots + Memory.getInt(slotBase + 4L * head);
  }

  /** Keys of sink and ring. */
  long denseKeys(int seat, int head) {
    return dense + head(seat, head) * 2 * denseValueOffset();
  }

  /** From a key of sink or ring to its value. */
  long denseValueOffset() {
    return (long) layout.grid().denseTokens() * layout.rowBytes();
  }

  /** First representative; the others follow. */
  long representatives(int seat, int head) {
    return representatives + head(seat, head) * layer.maxChunks() * layout.representativeBytes();
  }

  /** Chunk in slot 0; the others follow. */
  long window(int seat, int head) {
    return window + slot(seat, head) * layout.chunkBytes();
  }

  /** {@code int[maxChunks]}. */
  long slotOfChunk(int seat, int head) {
    return slotOfChunk + 4 * head(seat, head) * layer.maxChunks();
  }

  /** {@code int[windowSlots]}. */
  long chunkOfSlot(int seat, int head) {
    return chunkOfSlot + 4 * slot(seat, head);
  }

  /** {@code float[windowSlots]}. */
  long attentionOfSlot(int seat, int head) {
    return attentionOfSlot + 4 * slot(seat, head);
  }

  /** {@code int}: frame of the extent that holds a chunk. */
  long frameOfExtent(int seat, int head, int chunk) {
    return frameOfExtent + 4 * extent(seat, head, chunk);
  }

  /** {@code int}: last use of the extent that holds a chunk. */
  long lastUse(int seat, int head, int chunk) {
    return lastUse + 4 * extent(seat, head, chunk);
  }

  private long extent(int seat, int head, int chunk) {
    return head(seat, head) * layer.maxExtents() + chunk / layout.extentChunks();
  }

  /** Offset of a chunk in the frame pool. */
  long chunkInFrame(int frame, int chunk) {
    return (long) frame * layout.extentBytes()
        + (long) (chunk % layout.extentChunks()) * layout.chunkBytes();
  }
}

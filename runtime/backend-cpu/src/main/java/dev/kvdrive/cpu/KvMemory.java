package dev.kvdrive.cpu;

import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerWindow;
import dev.kvdrive.device.Uses;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvLayout;

/** Addresses of what a {@link KvLayer} describes. Valid while its buffers are open. */
final class KvMemory {
  final KvLayer layer;
  final KvLayout layout;

  /** A chunk in the window. */
  final ChunkLayout resident;

  /** A chunk in a frame or in transit. */
  final ChunkLayout backing;

  private final int kvHeads;
  private final long dense;
  private final long summaries;
  private final int summaryBytes;
  private final int summaryChunks;
  private final int summariesOfHead;
  private final long codebooks;
  private final int codebookBytes;
  private final long window;
  private final long slotBase;
  private final long slotTable;
  private final long slotOfChunk;
  private final long chunkOfSlot;
  private final long keyOfSlot;
  private final long usesOfSlot;
  private final long frameOfExtent;
  private final long lastUse;

  KvMemory(KvLayer layer) {
    this.layer = layer;
    layout = layer.layout();
    resident = layout.resident();
    backing = layout.backing();
    kvHeads = layout.kvHeads();
    dense = CpuBuffer.address(layer.dense());
    DeviceBuffer index = layer.index().summaries();
    summaries = index == null ? 0 : CpuBuffer.address(index);
    summaryBytes = layer.index().format().bytes(layout);
    summaryChunks = layer.index().format().chunks();
    summariesOfHead = layer.index().format().summaries(layer.maxChunks());
    DeviceBuffer codebook = layer.index().codebook();
    codebooks = codebook == null ? 0 : CpuBuffer.address(codebook);
    codebookBytes = layer.index().format().codebookBytes(layout);
    LayerWindow windows = layer.window();
    window = CpuBuffer.address(windows.chunks());
    slotBase = CpuBuffer.address(windows.slotBase());
    slotTable = CpuBuffer.address(windows.slotTable());
    slotOfChunk = CpuBuffer.address(windows.slotOfChunk());
    chunkOfSlot = CpuBuffer.address(windows.chunkOfSlot());
    keyOfSlot = CpuBuffer.address(windows.keyOfSlot());
    usesOfSlot = CpuBuffer.address(windows.usesOfSlot());
    frameOfExtent = CpuBuffer.address(layer.frameOfExtent());
    lastUse = CpuBuffer.address(layer.lastUse());
  }

  private long head(int seat, int head) {
    return (long) seat * kvHeads + head;
  }

  private long slot(int seat, int head) {
    return Memory.getInt(slotBase + 4 * ((long) seat * (kvHeads + 1) + head));
  }

  /** Window slots of a (seat, KV head). */
  int windowSlots(int seat, int head) {
    return (int) (slot(seat, head + 1) - slot(seat, head));
  }

  /** Keys of sink and ring. */
  long denseKeys(int seat, int head) {
    return dense + head(seat, head) * 2 * denseValueOffset();
  }

  /** From a key of sink or ring to its value. */
  long denseValueOffset() {
    return (long) layout.grid().denseTokens() * layout.rowBytes();
  }

  /** The summary that a chunk belongs to; the next ones follow. */
  long summary(int seat, int head, int chunk) {
    return summaries + (head(seat, head) * summariesOfHead + chunk / summaryChunks) * summaryBytes;
  }

  /** Whether a chunk is the first of its summary. */
  boolean firstOfSummary(int chunk) {
    return chunk % summaryChunks == 0;
  }

  /** The codebook that summaries of a KV head are written and read with. */
  long codebook(int head) {
    return codebooks + (long) head * codebookBytes;
  }

  /** {@code int[windowSlots]}: slots of the pool. */
  long slotTable(int seat, int head) {
    return slotTable + 4 * slot(seat, head);
  }

  /** The chunk at a place of a window, by the window's {@link #slotTable}. */
  long chunk(long table, int place) {
    return window + (long) Memory.getInt(table + 4L * place) * resident.bytes();
  }

  /** {@code int[maxChunks]}. */
  long slotOfChunk(int seat, int head) {
    return slotOfChunk + 4 * head(seat, head) * layer.maxChunks();
  }

  /** {@code int}: chunk at a place of a window. */
  long chunkOfSlot(long table, int place) {
    return chunkOfSlot + 4L * Memory.getInt(table + 4L * place);
  }

  /** {@code float}: key of the chunk at a place of a window. */
  long keyOfSlot(long table, int place) {
    return keyOfSlot + 4L * Memory.getInt(table + 4L * place);
  }

  /** {@code int}: {@link Uses} of the chunk at a place of a window. */
  long usesOfSlot(long table, int place) {
    return usesOfSlot + 4L * Memory.getInt(table + 4L * place);
  }

  /**
   * Empties a place of a window; how often its chunk was looked up is kept in the map of chunks.
   */
  void leaves(int seat, int head, int chunk, int place) {
    long table = slotTable(seat, head);
    int times = Uses.times(Memory.getInt(usesOfSlot(table, place)));
    Memory.putInt(slotOfChunk(seat, head) + 4L * chunk, Uses.absent(times));
    Memory.putInt(chunkOfSlot(table, place), -1);
  }

  /** {@code int}: mark of the slot at a place of a window, in an array by slot of the pool. */
  static long mark(long marks, long table, int place) {
    return marks + 4L * Memory.getInt(table + 4L * place);
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
        + (long) (chunk % layout.extentChunks()) * backing.bytes();
  }

  /** Brings a chunk in its backing form to a window slot. */
  void bring(long from, long slot) {
    if (resident.format() == backing.format()) {
      Memory.copy(from, slot, resident.bytes());
    } else {
      Int8RowKernels.decode(backing, from, layout.type(), resident, slot);
    }
  }

  /**
   * Writes the rows of one half of a chunk, which lie one behind the other, in its backing form.
   *
   * @param rows keys, or values, as they were computed
   * @param half where they go
   */
  void close(long rows, long half) {
    if (backing.format() == ChunkFormat.INT8) {
      for (int t = 0; t < backing.chunk(); t++) {
        Int8RowKernels.encode(layout.type(), rows + (long) t * layout.rowBytes(), backing, half, t);
      }
    } else {
      Memory.copy(rows, half, backing.valueOffset());
    }
  }

  /** Brings the rows of a half of a chunk back to the type of keys and values. */
  void recall(long half, long rows) {
    if (backing.format() == ChunkFormat.INT8) {
      Int8RowKernels.decodeRows(backing, half, layout.type(), layout.rowBytes(), rows);
    } else {
      Memory.copy(half, rows, backing.valueOffset());
    }
  }

  /** {@link #close} of one row. */
  void close(long row, long half, int token) {
    if (backing.format() == ChunkFormat.INT8) {
      Int8RowKernels.encode(layout.type(), row, backing, half, token);
    } else {
      Memory.copy(row, half + (long) token * layout.rowBytes(), layout.rowBytes());
    }
  }
}

package dev.kvdrive.cpu;

import static dev.kvdrive.cpu.CpuOperations.address;
import static dev.kvdrive.cpu.CpuOperations.requireF32;
import static dev.kvdrive.cpu.CpuOperations.stride;
import static dev.kvdrive.cpu.CpuOperations.submit;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;

/** Writes keys and values where they belong. */
final class KvWriter implements KvOperations {
  /** Rows of a block that are worth a task of their own. */
  private static final int ROWS = 32;

  private final ComputePool pool;

  KvWriter(ComputePool pool) {
    this.pool = pool;
  }

  @Override
  public void append(Queue queue, Append a) {
    requireF32(a.keys(), a.values());
    submit(
        queue,
        append(
            new StepRows(a.step().batch()),
            new KvMemory(a.step().layer()),
            a.frames(),
            address(a.keys()),
            stride(a.keys()),
            address(a.values()),
            stride(a.values())));
  }

  @Override
  public void store(Queue queue, Store a) {
    requireF32(a.keys(), a.values());
    submit(
        queue,
        () ->
            store(
                a.layer().layout(),
                a.scratch(),
                a.start(),
                a.rows(),
                a.closing(),
                address(a.keys()),
                stride(a.keys()),
                address(a.values()),
                stride(a.values())));
  }

  @Override
  public void close(Queue queue, Close a) {
    submit(queue, () -> close(new KvMemory(a.chunks().layer()), a.chunks(), a.frames()));
  }

  @Override
  public void recall(Queue queue, Recall a) {
    submit(queue, () -> recall(new KvMemory(a.chunks().layer()), a.chunks(), a.frames()));
  }

  @Override
  public void seed(Queue queue, Seed a) {
    submit(queue, () -> seed(new KvMemory(a.layer()), a.scratch(), a.seat(), a.tokens()));
  }

  @Override
  public void reset(Queue queue, Reset a) {
    submit(queue, () -> reset(new KvMemory(a.layer()), a.seat()));
  }

  @Override
  public void place(Queue queue, Place a) {
    submit(
        queue,
        () -> {
          long table = CpuBuffer.address(a.frameOfExtent());
          long changes = CpuBuffer.address(a.changes());
          for (int i = 0; i < a.count(); i++) {
            Memory.putInt(
                table + 4L * Memory.getInt(changes + 8L * i), Memory.getInt(changes + 8L * i + 4));
          }
        });
  }

  private Runnable append(
      StepRows batch,
      KvMemory kv,
      FramePool frames,
      long keys,
      long keyStride,
      long values,
      long valueStride) {
    KvLayout layout = kv.layout;
    ChunkGrid grid = layout.grid();
    return pool.region(
        batch.rows,
        (row, thread) -> {
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int position = batch.position(row);
          int closing = grid.closedChunks(position);
          boolean closes = grid.closedChunks(position + 1) > closing;
          int denseRow = position < grid.sink() ? position : grid.sink() + grid.ringSlot(position);
          for (int head = 0; head < layout.kvHeads(); head++) {
            long dense = kv.denseKeys(seat, head);
            if (closes) {
              closeFromRing(kv, frames, dense, seat, head, closing);
            }
            long at = dense + (long) denseRow * layout.rowBytes();
            long from = 4L * head * layout.headDim();
            KvRowKernels.narrow(layout.type(), keys + row * keyStride + from, layout.headDim(), at);
            KvRowKernels.narrow(
                layout.type(),
                values + row * valueStride + from,
                layout.headDim(),
                at + kv.denseValueOffset());
          }
        });
  }

  private static void closeFromRing(
      KvMemory kv, FramePool frames, long dense, int seat, int head, int chunk) {
    KvLayout layout = kv.layout;
    ChunkGrid grid = layout.grid();
    long target = placeOf(kv, frames, seat, head, chunk, "closes");
    for (int t = 0; t < grid.chunk(); t++) {
      long row = grid.sink() + (long) grid.ringSlot(grid.firstToken(chunk) + t);
      long from = dense + row * layout.rowBytes();
      kv.close(from, target, t);
      kv.close(from + kv.denseValueOffset(), target + kv.backing.valueOffset(), t);
    }
  }

  /** Where a chunk that closes goes, or one that is recalled is: the DRAM frame of its extent. */
  private static long placeOf(
      KvMemory kv, FramePool frames, int seat, int head, int chunk, String what) {
    int frame = Memory.getInt(kv.frameOfExtent(seat, head, chunk));
    if (frame < 0 || frame >= frames.frames()) {
      throw new DeviceException(
          "chunk %d of layer %d, KV head %d, seat %d %s, but its extent has no DRAM frame (%d)"
              .formatted(chunk, kv.layer.layer(), head, seat, what, frame));
    }
    return frames.memory().segment().address() + kv.chunkInFrame(frame, chunk);
  }

  private void store(
      KvLayout layout,
      PrefillScratch prompt,
      int start,
      int rows,
      int closing,
      long keys,
      long keyStride,
      long values,
      long valueStride) {
    boolean encodes = layout.backing().format() == ChunkFormat.INT8;
    pool.run(
        Math.ceilDiv(rows, ROWS),
        (task, thread) -> {
          for (int row = task * ROWS; row < Math.min(rows, (task + 1) * ROWS); row++) {
            for (int head = 0; head < layout.kvHeads(); head++) {
              long to = promptKey(layout, prompt, head, start + row);
              long from = 4L * head * layout.headDim();
              KvRowKernels.narrow(
                  layout.type(), keys + row * keyStride + from, layout.headDim(), to);
              KvRowKernels.narrow(
                  layout.type(),
                  values + row * valueStride + from,
                  layout.headDim(),
                  to + promptValueOffset(layout, prompt));
              if (encodes && start + row >= layout.grid().sink() && start + row < closing) {
                Int8RowKernels.round(layout.type(), to, layout.headDim());
                Int8RowKernels.round(
                    layout.type(), to + promptValueOffset(layout, prompt), layout.headDim());
              }
            }
          }
        });
  }

  /** Key of a token of the prompt that is being prefilled. */
  static long promptKey(KvLayout layout, PrefillScratch prompt, int head, int token) {
    return CpuBuffer.address(prompt.buffer())
        + (2L * head * prompt.maxTokens() + token) * layout.rowBytes();
  }

  private static long promptValueOffset(KvLayout layout, PrefillScratch prompt) {
    return (long) prompt.maxTokens() * layout.rowBytes();
  }

  private void close(KvMemory kv, PromptChunks chunks, FramePool frames) {
    KvLayout layout = kv.layout;
    PrefillScratch prompt = chunks.scratch();
    pool.run(
        layout.kvHeads(),
        (head, thread) -> {
          for (int chunk = chunks.from(); chunk < chunks.to(); chunk++) {
            long target = placeOf(kv, frames, chunks.seat(), head, chunk, "closes");
            long from = promptKey(layout, prompt, head, layout.grid().firstToken(chunk));
            kv.close(from, target);
            kv.close(from + promptValueOffset(layout, prompt), target + kv.backing.valueOffset());
          }
        });
  }

  private void recall(KvMemory kv, PromptChunks chunks, FramePool frames) {
    KvLayout layout = kv.layout;
    PrefillScratch prompt = chunks.scratch();
    int extent = layout.extentChunks();
    int first = chunks.from() / extent;
    int extents = Math.ceilDiv(chunks.to(), extent) - first;
    pool.run(
        layout.kvHeads() * extents,
        (task, thread) -> {
          int head = task / extents;
          int begin = (first + task % extents) * extent;
          for (int chunk = Math.max(begin, chunks.from());
              chunk < Math.min(begin + extent, chunks.to());
              chunk++) {
            long from = placeOf(kv, frames, chunks.seat(), head, chunk, "is recalled");
            long to = promptKey(layout, prompt, head, layout.grid().firstToken(chunk));
            kv.recall(from, to);
            kv.recall(from + kv.backing.valueOffset(), to + promptValueOffset(layout, prompt));
          }
        });
  }

  private void seed(KvMemory kv, PrefillScratch prompt, int seat, int tokens) {
    KvLayout layout = kv.layout;
    ChunkGrid grid = layout.grid();
    int ring = Math.max(grid.sink(), grid.firstToken(grid.closedChunks(tokens)));
    for (int head = 0; head < layout.kvHeads(); head++) {
      for (int token = 0; token < Math.min(tokens, grid.sink()); token++) {
        seedRow(kv, prompt, seat, head, token, token);
      }
      for (int token = ring; token < tokens; token++) {
        seedRow(kv, prompt, seat, head, token, grid.sink() + grid.ringSlot(token));
      }
    }
  }

  private static void seedRow(
      KvMemory kv, PrefillScratch prompt, int seat, int head, int token, int denseRow) {
    KvLayout layout = kv.layout;
    int rowBytes = layout.rowBytes();
    long from = promptKey(layout, prompt, head, token);
    long to = kv.denseKeys(seat, head) + (long) denseRow * rowBytes;
    Memory.copy(from, to, rowBytes);
    Memory.copy(from + promptValueOffset(layout, prompt), to + kv.denseValueOffset(), rowBytes);
  }

  private void reset(KvMemory kv, int seat) {
    long chunks = (long) kv.layout.kvHeads() * kv.layer.maxChunks();
    long extents = (long) kv.layout.kvHeads() * kv.layer.maxExtents();
    Memory.fillInts(kv.slotOfChunk(seat, 0), chunks, -1);
    for (int head = 0; head < kv.layout.kvHeads(); head++) {
      long table = kv.slotTable(seat, head);
      for (int slot = 0; slot < kv.windowSlots(seat, head); slot++) {
        Memory.putInt(kv.chunkOfSlot(table, slot), -1);
      }
    }
    Memory.fillInts(kv.lastUse(seat, 0, 0), extents, -1);
    if (kv.layer.index().clusters() != null) {
      ClusterMemory clusters = new ClusterMemory(kv.layer);
      for (int head = 0; head < kv.layout.kvHeads(); head++) {
        clusters.clustered(seat, head, 0);
      }
    }
  }
}

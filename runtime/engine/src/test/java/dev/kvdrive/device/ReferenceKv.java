package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvLayout;
import java.lang.foreign.MemorySegment;

/** Where keys and values are written, as the contract says it. */
final class ReferenceKv extends ReferenceMemory implements KvOperations {
  ReferenceKv(ElementType activations) {
    super(activations);
  }

  @Override
  public void append(Queue queue, Append a) {
    StepBatch batch = a.step().batch();
    KvLayer layer = a.step().layer();
    FramePool frames = a.frames();
    Activations keys = require(a.keys());
    Activations values = require(a.values());
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  ChunkGrid grid = layout.grid();
                  for (int head = 0; head < layout.kvHeads(); head++) {
                    int closing = grid.closedChunks(position);
                    if (grid.closedChunks(position + 1) > closing) {
                      int firstRow = grid.sink() + grid.ringSlot(grid.firstToken(closing));
                      int capacity = grid.ringCapacity();
                      long[] tokenRows = new long[grid.chunk()];
                      for (int t = 0; t < grid.chunk(); t++) {
                        tokenRows[t] =
                            grid.sink() + (long) ((firstRow - grid.sink() + t) % capacity);
                      }
                      long base = denseBase(layer, seat, head);
                      closeChunk(
                          layer,
                          seat,
                          head,
                          closing,
                          frames,
                          memory(layer.dense()),
                          t -> base + tokenRows[t] * layout.rowBytes(),
                          (long) grid.denseTokens() * layout.rowBytes());
                    }
                    long denseRow =
                        position < grid.sink() ? position : grid.sink() + grid.ringSlot(position);
                    long at = denseBase(layer, seat, head) + denseRow * layout.rowBytes();
                    for (int i = 0; i < layout.headDim(); i++) {
                      int from = head * layout.headDim() + i;
                      setKv(layout, layer.dense(), at, i, get(keys, row, from));
                      setKv(
                          layout,
                          layer.dense(),
                          at + (long) grid.denseTokens() * layout.rowBytes(),
                          i,
                          get(values, row, from));
                    }
                  }
                }));
  }

  @Override
  public void store(Queue queue, Store a) {
    KvLayer layer = a.layer();
    PrefillScratch scratch = a.scratch();
    int start = a.start();
    int rows = a.rows();
    Activations keys = require(a.keys());
    Activations values = require(a.values());
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          for (int row = 0; row < rows; row++) {
            boolean closes = start + row >= layout.grid().sink() && start + row < a.closing();
            for (int head = 0; head < layout.kvHeads(); head++) {
              long key = scratchRow(layout, scratch, head, start + row);
              long value = key + (long) scratch.maxTokens() * layout.rowBytes();
              for (int i = 0; i < layout.headDim(); i++) {
                int from = head * layout.headDim() + i;
                setKv(layout, scratch.buffer(), key, i, get(keys, row, from));
                setKv(layout, scratch.buffer(), value, i, get(values, row, from));
              }
              if (closes) {
                roundRow(layout, scratch, key);
                roundRow(layout, scratch, value);
              }
            }
          }
        });
  }

  /** A row of the scratch is as it comes back from its backing form. */
  private static void roundRow(KvLayout layout, PrefillScratch scratch, long at) {
    float[] row = new float[layout.headDim()];
    for (int i = 0; i < row.length; i++) {
      row[i] = kvAt(layout, memory(scratch.buffer()), at, i);
    }
    float[] back = ReferenceChunk.comesBack(layout.type(), layout.backing().format(), row);
    for (int i = 0; i < row.length; i++) {
      setKv(layout, scratch.buffer(), at, i, back[i]);
    }
  }

  @Override
  public void recall(Queue queue, Recall a) {
    PromptChunks chunks = a.chunks();
    submit(
        queue,
        () -> {
          KvLayout layout = chunks.layer().layout();
          ChunkLayout backing = layout.backing();
          PrefillScratch scratch = chunks.scratch();
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int chunk = chunks.from(); chunk < chunks.to(); chunk++) {
              long from =
                  placeOf(chunks.layer(), chunks.seat(), head, chunk, a.frames(), "is recalled");
              for (int t = 0; t < backing.chunk(); t++) {
                long key = scratchRow(layout, scratch, head, layout.grid().firstToken(chunk) + t);
                for (int half = 0; half < 2; half++) {
                  for (int i = 0; i < layout.headDim(); i++) {
                    setKv(
                        layout,
                        scratch.buffer(),
                        key + (long) half * scratch.maxTokens() * layout.rowBytes(),
                        i,
                        ReferenceChunk.read(
                            backing,
                            a.frames().memory().segment(),
                            from + (long) half * backing.valueOffset(),
                            t,
                            i));
                  }
                }
              }
            }
          }
        });
  }

  @Override
  public void close(Queue queue, Close a) {
    KvLayer layer = a.chunks().layer();
    PrefillScratch scratch = a.chunks().scratch();
    int seat = a.chunks().seat();
    int fromChunk = a.chunks().from();
    int toChunk = a.chunks().to();
    FramePool frames = a.frames();
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int chunk = fromChunk; chunk < toChunk; chunk++) {
              long first = scratchRow(layout, scratch, head, layout.grid().firstToken(chunk));
              closeChunk(
                  layer,
                  seat,
                  head,
                  chunk,
                  frames,
                  memory(scratch.buffer()),
                  t -> first + (long) t * layout.rowBytes(),
                  (long) scratch.maxTokens() * layout.rowBytes());
            }
          }
        });
  }

  @Override
  public void seed(Queue queue, Seed a) {
    KvLayer layer = a.layer();
    PrefillScratch scratch = a.scratch();
    int seat = a.seat();
    int tokens = a.tokens();
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          ChunkGrid grid = layout.grid();
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int t = 0; t < tokens; t++) {
              if (t < grid.sink()) {
                seedRow(layer, scratch, seat, head, t, t);
              } else if (t >= grid.firstToken(grid.closedChunks(tokens))) {
                seedRow(layer, scratch, seat, head, t, grid.sink() + grid.ringSlot(t));
              }
            }
          }
        });
  }

  @Override
  public void reset(Queue queue, Reset a) {
    KvLayer layer = a.layer();
    int seat = a.seat();
    submit(
        queue,
        () -> {
          int kvHeads = layer.layout().kvHeads();
          long chunks = (long) kvHeads * layer.maxChunks();
          for (long i = 0; i < chunks; i++) {
            setInt(layer.window().slotOfChunk(), seat * chunks + i, -1);
          }
          for (int head = 0; head < kvHeads; head++) {
            for (int slot = 0; slot < windowSlots(layer, seat, head); slot++) {
              setInt(layer.window().chunkOfSlot(), slotAt(layer, seat, head, slot), -1);
            }
          }
          long extents = (long) kvHeads * layer.maxExtents();
          for (long i = 0; i < extents; i++) {
            setInt(layer.lastUse(), seat * extents + i, -1);
          }
          LayerClusters clusters = layer.index().clusters();
          for (int head = 0; clusters != null && head < kvHeads; head++) {
            setInt(clusters.clustered(), (long) seat * kvHeads + head, 0);
          }
        });
  }

  @Override
  public void place(Queue queue, Place a) {
    submit(
        queue,
        () -> {
          for (int i = 0; i < a.count(); i++) {
            setInt(a.frameOfExtent(), intAt(a.changes(), 2L * i), intAt(a.changes(), 2L * i + 1));
          }
        });
  }

  /** Where the key of a token of a chunk lies. */
  private interface KeyRow {
    long offset(int tokenOfChunk);
  }

  private static void closeChunk(
      KvLayer layer,
      int seat,
      int head,
      int chunk,
      FramePool frames,
      MemorySegment source,
      KeyRow rows,
      long keyToValue) {
    KvLayout layout = layer.layout();
    ChunkLayout backing = layout.backing();
    long target = placeOf(layer, seat, head, chunk, frames, "closes");
    for (int t = 0; t < backing.chunk(); t++) {
      for (int half = 0; half < 2; half++) {
        float[] row = new float[layout.headDim()];
        for (int i = 0; i < row.length; i++) {
          row[i] = kvAt(layout, source, rows.offset(t) + half * keyToValue, i);
        }
        ReferenceChunk.write(
            layout.type(),
            backing,
            row,
            frames.memory().segment(),
            target + (long) half * backing.valueOffset(),
            t);
      }
    }
  }

  private static long placeOf(
      KvLayer layer, int seat, int head, int chunk, FramePool frames, String what) {
    int frame = intAt(layer.frameOfExtent(), extentIndex(layer, seat, head, chunk));
    if (frame < 0 || frame >= frames.frames()) {
      throw new DeviceException(
          "chunk %d of layer %d, KV head %d, seat %d %s, but its extent has no DRAM frame (%d)"
              .formatted(chunk, layer.layer(), head, seat, what, frame));
    }
    return chunkInFrame(layer.layout(), frame, chunk);
  }

  private static void seedRow(
      KvLayer layer, PrefillScratch scratch, int seat, int head, int token, int denseRow) {
    KvLayout layout = layer.layout();
    long source = scratchRow(layout, scratch, head, token);
    long target = denseBase(layer, seat, head) + (long) denseRow * layout.rowBytes();
    long bytes = layout.rowBytes();
    MemorySegment.copy(memory(scratch.buffer()), source, memory(layer.dense()), target, bytes);
    MemorySegment.copy(
        memory(scratch.buffer()),
        source + scratch.maxTokens() * bytes,
        memory(layer.dense()),
        target + layout.grid().denseTokens() * bytes,
        bytes);
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvType;
import java.util.Arrays;

/**
 * Attention of a decode step: {@code begin}, {@code hits}, {@code misses} and {@code finish}.
 *
 * <p>Sink, ring and selected chunks are folded into a running softmax, in this order, tiles of
 * tokens at a time. Where a chunk lay decides only when that is done: hits before the first miss of
 * the pass at once, so that a chunk is read once and in one piece; of later hits the scores early,
 * of misses when they have landed, and the fold then goes on in the order of the selection, so that
 * windows, tiers and passes change no bit.
 *
 * <p>State, F32: {@code [maxRows][heads]{maximum, sum, values[headDim]}}, then the scores of a pass
 * {@code [maxRows][heads][passChunks][chunk]}, within {@code Workspace.attentionBytes}, which has
 * room for {@code ATTENTION_SPLITS} states more, so that a vector read behind the last score stays
 * inside.
 */
final class StepAttention {
  private final ComputePool pool;

  /** One of each thread: a region makes no objects. */
  private final Group[] groups;

  StepAttention(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    groups = Arrays.stream(scratch).map(Group::new).toArray(Group[]::new);
  }

  private interface Work {
    void run(int row, int seat, int head, Group group);
  }

  private Runnable forEachHead(StepRows batch, int heads, Work work) {
    return pool.region(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int seat = batch.seat(row);
          if (seat >= 0) {
            work.run(row, seat, task % heads, groups[thread]);
          }
        });
  }

  Runnable begin(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    return forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, group) -> {
          ChunkGrid grid = kv.layout.grid();
          int tokens = batch.tokens(row);
          for (int g = 0; g < shape.groupSize(); g++) {
            states.clear(row, head * shape.groupSize() + g);
          }
          group.is(kv, shape, states, row, head);
          group.scaleQueries(query + row * queryStride);
          group.begin();
          long keys = kv.denseKeys(seat, head);
          int rowBytes = kv.layout.rowBytes();
          group.addDense(keys, Math.min(tokens, grid.sink()));
          long ring = keys + (long) grid.sink() * rowBytes;
          int token = grid.firstToken(grid.closedChunks(tokens));
          while (token < tokens) {
            // A ring's chunk never wraps when its capacity is whole chunks; others go piecewise.
            int slot = grid.ringSlot(token);
            int count =
                Math.min(Math.min(grid.chunk(), tokens - token), grid.ringCapacity() - slot);
            group.addDense(ring + (long) slot * rowBytes, count);
            token += count;
          }
          group.end();
        });
  }

  /** Folds the clusters in, without the tokens that are selected. */
  Runnable estimate(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      SelectionMemory selection,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    ClusterMemory clusters = new ClusterMemory(kv.layer);
    return forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, group) -> {
          int clustered = clusters.clustered(seat, head);
          int count = clusters.format.clusters(kv.layout, clustered);
          int selected = Memory.getInt(selection.selectedCount(row, head));
          if (count == 0 || selected == kv.layout.grid().closedChunks(batch.tokens(row))) {
            return;
          }
          float[] left = group.scratch.array(Use.SUMS, count);
          long table = clusters.clusters(seat, head);
          for (int j = 0; j < count; j++) {
            left[j] = ClusterMemory.size(table + (long) j * clusters.next());
          }
          int tokens = kv.layout.grid().chunk();
          for (int i = 0; i < selected; i++) {
            int chunk = Memory.getInt(selection.selected(row, head) + 4L * i);
            if (chunk < clustered) {
              long ids = clusters.ids(seat, head, chunk);
              for (int t = 0; t < tokens; t++) {
                left[Short.toUnsignedInt(Memory.getShort(ids + 2L * t))]--;
              }
            }
          }
          group.is(kv, shape, states, row, head);
          group.scaleQueries(query + row * queryStride);
          group.begin();
          group.addClusters(clusters, table, clusters.mean(seat, head), left, count);
          group.end();
        });
  }

  Runnable attendHits(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      SelectionMemory selection,
      int pass,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    return forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, group) -> {
          int count = selection.passCount(row, head, pass);
          int misses = Memory.getInt(selection.missCount(row, head));
          if (count == misses) {
            return;
          }
          group.is(kv, shape, states, row, head);
          group.scaleQueries(query + row * queryStride);
          long slots = selection.slots(row, head);
          long missAt = selection.misses(row, head);
          int first = firstMiss(count, misses, missAt);
          if (first > 0) {
            group.begin();
            for (int i = 0; i < first; i++) {
              int slot = Memory.getInt(slots + 4L * i);
              // Where one slot follows the other the processor reads ahead by itself.
              if (i + 1 < first && Memory.getInt(slots + 4L * (i + 1)) != slot + 1) {
                group.announce(seat, Memory.getInt(slots + 4L * (i + 1)));
              }
              group.addHit(seat, slot);
            }
            group.end();
          }
          int next = 0;
          for (int i = first; i < count; i++) {
            if (next < misses && Memory.getInt(missAt + 4L * next) == i) {
              next++;
            } else {
              if (i + 1 < count) {
                group.announceKeys(seat, Memory.getInt(slots + 4L * (i + 1)));
              }
              group.score(seat, Memory.getInt(slots + 4L * i), i);
            }
          }
        });
  }

  Runnable attendMisses(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      SelectionMemory selection,
      int pass,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    return forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, group) -> {
          int count = selection.passCount(row, head, pass);
          long missAt = selection.misses(row, head);
          int misses = Memory.getInt(selection.missCount(row, head));
          int first = firstMiss(count, misses, missAt);
          if (first == count) {
            return;
          }
          group.is(kv, shape, states, row, head);
          group.scaleQueries(query + row * queryStride);
          long slots = selection.slots(row, head);
          for (int m = 0; m < misses; m++) {
            int i = Memory.getInt(missAt + 4L * m);
            int slot = Memory.getInt(slots + 4L * i);
            if (slot >= 0) {
              group.score(seat, slot, i);
            }
          }
          group.begin();
          for (int i = first; i < count; i++) {
            int slot = Memory.getInt(slots + 4L * i);
            if (slot >= 0) {
              if (i + 1 < count) {
                group.announceValues(seat, Memory.getInt(slots + 4L * (i + 1)));
              }
              group.addChunk(seat, slot, i);
            }
          }
          group.end();
        });
  }

  /** Chunks of a pass before the first that has to be fetched. */
  private static int firstMiss(int count, int misses, long missAt) {
    return misses == 0 ? count : Memory.getInt(missAt);
  }

  Runnable finish(
      StepRows batch,
      ChunkGrid grid,
      AttentionShape shape,
      AttentionState state,
      long out,
      long outStride) {
    StateMemory states = new StateMemory(shape, grid, state);
    return forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, group) -> {
          int headDim = shape.headDim();
          for (int g = 0; g < shape.groupSize(); g++) {
            int queryHead = head * shape.groupSize() + g;
            long values = states.values(row, queryHead);
            float sum = Memory.getFloat(states.sum(row, queryHead));
            long to = out + row * outStride + 4L * queryHead * headDim;
            for (int i = 0; i < headDim; i++) {
              Memory.putFloat(to + 4L * i, Memory.getFloat(values + 4L * i) / sum);
            }
          }
        });
  }

  /** {@code headDim} floats times {@code scale} as a padded row. */
  static void scale(long query, int headDim, float scale, long target, int padded) {
    for (int i = 0; i < headDim; i++) {
      Memory.putFloat(target + 4L * i, Memory.getFloat(query + 4L * i) * scale);
    }
    for (int i = headDim; i < padded; i++) {
      Memory.putFloat(target + 4L * i, 0);
    }
  }

  /** Addresses of what an {@link AttentionState} holds. */
  static final class StateMemory {
    private final int heads;
    private final int headDim;
    private final int scoresOfHead;
    private final long states;
    private final long scores;

    StateMemory(AttentionShape shape, ChunkGrid grid, AttentionState state) {
      heads = shape.heads();
      headDim = shape.headDim();
      scoresOfHead = state.passChunks() * grid.chunk();
      states = CpuBuffer.address(state.buffer());
      scores = states + 4L * state.maxRows() * heads * (2 + headDim);
    }

    private long head(int row, int queryHead) {
      return (long) row * heads + queryHead;
    }

    long maximum(int row, int queryHead) {
      return states + 4 * head(row, queryHead) * (2 + headDim);
    }

    long sum(int row, int queryHead) {
      return maximum(row, queryHead) + 4;
    }

    long values(int row, int queryHead) {
      return maximum(row, queryHead) + 8;
    }

    /** {@code float[passChunks][chunk]}. */
    long scores(int row, int queryHead) {
      return scores + 4 * head(row, queryHead) * scoresOfHead;
    }

    /** Log of the running sum, negative infinity if nothing is attended yet. */
    double logMass(int row, int queryHead) {
      return Memory.getFloat(maximum(row, queryHead))
          + StrictMath.log(Memory.getFloat(sum(row, queryHead)));
    }

    void clear(int row, int queryHead) {
      Memory.putFloat(maximum(row, queryHead), Float.NEGATIVE_INFINITY);
      Memory.clear(sum(row, queryHead), 4L * (1 + headDim));
    }
  }

  /**
   * The queries of one (row, KV head) at a time and what they have attended so far, in the scratch
   * of a thread: tokens are collected in a tile and folded when it is full, so that the queries of
   * a group share every value that is read and the running sums stay in registers. Values of a tile
   * are widened to panels, or read where they lie ({@link ValueKernels}).
   *
   * <p>The maximum of a query rises, if it does, where a unit of tokens begins (a chunk, the sink,
   * a piece of the ring), and every sum over values goes token by token. A tile therefore changes
   * no bit, wherever it begins.
   */
  @SuppressWarnings("NullAway.Init") // is() comes before all else
  private static final class Group {
    /** Tokens of a tile, unless a chunk has more. */
    private static final int TILE = 64;

    private KvMemory kv;
    private StateMemory states;
    private int row;
    private int head;
    private final ThreadScratch scratch;
    private int size;
    private int headDim;
    private int padded;
    private float scale;

    /** Tokens of a tile. */
    private int tile;

    /** From the scores of one query to the next; a vector may be written behind the last. */
    private int stride;

    /** {@code [size][padded]}, scaled. */
    private float[] queries = {};

    /** {@code [padded/COLUMNS][tile][COLUMNS]}, if the tile is {@link #inPanels}. */
    private float[] values = {};

    /** Address of the values of each unit, if not. */
    private long[] valueRows = {};

    /** Whether the keys and values of the layout can be added without panels. */
    private boolean direct;

    private boolean inPanels;

    /** {@code [size][stride]}. */
    private float[] scores = {};

    /** {@code [size][stride]}. */
    private float[] weights = {};

    /** {@code [size][padded]}. */
    private float[] sums = {};

    /** Maximum and sum of weights of each query. */
    private float[] softmax = {};

    /** First token of each unit of the tile, and behind the last. */
    private int[] units = {};

    private int unitCount;
    private int tokens;

    Group(ThreadScratch scratch) {
      this.scratch = scratch;
    }

    /** Becomes those of another (row, KV head). */
    void is(KvMemory kv, AttentionShape shape, StateMemory states, int row, int head) {
      this.kv = kv;
      this.states = states;
      this.row = row;
      this.head = head;
      size = shape.groupSize();
      headDim = shape.headDim();
      padded = KvRows.padded(headDim);
      scale = shape.scale();
      tile = Math.max(TILE, kv.layout.grid().chunk());
      stride = tile + Lanes.N;
      queries = scratch.array(Use.QUERIES, size * padded);
      values = scratch.array(Use.VALUES, tile * padded);
      scores = scratch.array(Use.SCORES, size * stride);
      weights = scratch.array(Use.WEIGHTS, size * stride);
      sums = scratch.array(Use.OUTPUT, size * padded);
      softmax = scratch.array(Use.MAXIMA, 2 * size);
      units = scratch.ints(tile + 1);
      valueRows = scratch.longs(tile);
      direct =
          kv.layout.type() == KvType.BF16
              && kv.resident.format() != ChunkFormat.INT8
              && ValueKernels.take(size, headDim);
    }

    /** Takes the queries; before scores are computed. */
    void scaleQueries(long rowQueries) {
      long from = rowQueries + 4L * head * size * headDim;
      for (int g = 0; g < size; g++) {
        for (int i = 0; i < headDim; i++) {
          queries[g * padded + i] = Memory.getFloat(from + 4L * (g * headDim + i)) * scale;
        }
        Arrays.fill(queries, g * padded + headDim, (g + 1) * padded, 0);
      }
    }

    /** Takes what was attended so far; before {@link #addDense} and {@link #addChunk}. */
    void begin() {
      inPanels = !direct;
      for (int g = 0; g < size; g++) {
        int queryHead = head * size + g;
        softmax[2 * g] = Memory.getFloat(states.maximum(row, queryHead));
        softmax[2 * g + 1] = Memory.getFloat(states.sum(row, queryHead));
        long from = states.values(row, queryHead);
        for (int i = 0; i < headDim; i++) {
          sums[g * padded + i] = Memory.getFloat(from + 4L * i);
        }
        Arrays.fill(sums, g * padded + headDim, (g + 1) * padded, 0);
      }
      unitCount = 0;
      tokens = 0;
      units[0] = 0;
    }

    /** Folds what is in the tile and gives the state back. */
    void end() {
      fold();
      for (int g = 0; g < size; g++) {
        int queryHead = head * size + g;
        Memory.putFloat(states.maximum(row, queryHead), softmax[2 * g]);
        Memory.putFloat(states.sum(row, queryHead), softmax[2 * g + 1]);
        long to = states.values(row, queryHead);
        for (int i = 0; i < headDim; i++) {
          Memory.putFloat(to + 4L * i, sums[g * padded + i]);
        }
      }
    }

    /** Scores and adds {@code count} consecutive tokens of sink or ring. */
    void addDense(long keyRows, int count) {
      // A unit is at most a tile; only a layout with larger chunks has more in one piece.
      for (int done = 0; done < count; done += tile) {
        int part = Math.min(tile, count - done);
        long rows = keyRows + (long) done * kv.layout.rowBytes();
        reserve(part);
        products(kv.layout.type(), rows, part, tokens);
        addRows(rows + kv.denseValueOffset(), part);
      }
    }

    /**
     * Scores and adds the clusters that have tokens left, up to a tile of them as a unit.
     *
     * @param table the first cluster
     * @param mean {@link ClusterMemory#mean}
     * @param left tokens of each
     */
    void addClusters(ClusterMemory clusters, long table, long mean, float[] left, int count) {
      long rows = scratch.floats(Use.KEYS, 2L * tile * headDim);
      long means = rows + 4L * tile * headDim;
      float[] logs = scratch.array(Use.KEYS, tile + Lanes.N);
      inPanels = true;
      int next = 0;
      while (next < count) {
        int unit = 0;
        for (; next < count && unit < tile; next++) {
          if (left[next] > 0) {
            long cluster = table + (long) next * clusters.next();
            clusters.centroid(cluster, mean, rows + 4L * unit * headDim);
            clusters.value(cluster, means + 4L * unit * headDim);
            logs[unit++] = left[next];
          }
        }
        if (unit > 0) {
          reserve(unit);
          products(KvType.F32, rows, unit, tokens);
          Arrays.fill(logs, unit, tile + Lanes.N, 1);
          ShareKernels.addLogs(logs, unit, scores, tokens, stride, size);
          PanelKernels.ofRows(KvType.F32, means, unit, headDim, values, tile, tokens, padded);
          added(unit);
        }
      }
    }

    /** Scores chunk {@code i} of the pass, which is in {@code slot}. */
    void score(int seat, int slot, int i) {
      int chunk = kv.layout.grid().chunk();
      products(chunkAt(seat, slot), 0);
      for (int g = 0; g < size; g++) {
        long to = states.scores(row, head * size + g) + 4L * i * chunk;
        for (int t = 0; t < chunk; t++) {
          Memory.putFloat(to + 4L * t, scores[g * stride + t]);
        }
      }
    }

    /** Adds chunk {@code i} of the pass, whose scores are known. */
    void addChunk(int seat, int slot, int i) {
      int chunk = kv.layout.grid().chunk();
      reserve(chunk);
      for (int g = 0; g < size; g++) {
        long from = states.scores(row, head * size + g) + 4L * i * chunk;
        for (int t = 0; t < chunk; t++) {
          scores[g * stride + tokens + t] = Memory.getFloat(from + 4L * t);
        }
      }
      addValues(chunkAt(seat, slot));
    }

    /** Scores and adds a chunk, which is in {@code slot}. */
    void addHit(int seat, int slot) {
      reserve(kv.layout.grid().chunk());
      long keys = chunkAt(seat, slot);
      products(keys, tokens);
      addValues(keys);
    }

    private void addValues(long keys) {
      int chunk = kv.layout.grid().chunk();
      long rows = keys + kv.resident.valueOffset();
      if (kv.resident.format() == ChunkFormat.INT8) {
        PanelKernels.ofCodes(kv.resident, rows, values, tile, tokens, padded);
        added(chunk);
      } else {
        addRows(rows, chunk);
      }
    }

    /** Adds values of the layout's type, which stay as they are until the tile is folded. */
    private void addRows(long rows, int count) {
      if (inPanels) {
        PanelKernels.ofRows(kv.layout.type(), rows, count, headDim, values, tile, tokens, padded);
      } else {
        valueRows[unitCount] = rows;
      }
      added(count);
    }

    /** Asks the memory for a chunk that is added soon. */
    void announce(int seat, int slot) {
      scratch.touch(chunkAt(seat, slot), 2L * kv.resident.valueOffset());
    }

    /** Asks the memory for the keys of a chunk that is scored soon, if it is in a slot. */
    void announceKeys(int seat, int slot) {
      scratch.touch(chunkAt(seat, Math.max(0, slot)), kv.resident.valueOffset());
    }

    /** Asks the memory for the values of a chunk that is added soon, if it is in a slot. */
    void announceValues(int seat, int slot) {
      scratch.touch(
          chunkAt(seat, Math.max(0, slot)) + kv.resident.valueOffset(), kv.resident.valueOffset());
    }

    private long chunkAt(int seat, int slot) {
      return kv.chunk(kv.slotTable(seat, head), slot);
    }

    private void reserve(int count) {
      if (tokens + count > tile) {
        fold();
      }
    }

    /** Notes a unit of tokens, whose scores and values are in their place. */
    private void added(int count) {
      tokens += count;
      unitCount++;
      units[unitCount] = tokens;
    }

    /** Products of {@code count} keys with all queries, to token {@code at} of the scores. */
    private void products(KvType type, long keyRows, int count, int at) {
      int g = 0;
      for (; g + 2 <= size; g += 2) {
        RowKernels.products2(
            type,
            keyRows,
            count,
            headDim,
            queries,
            g * padded,
            padded,
            scores,
            g * stride + at,
            stride);
      }
      if (g < size) {
        RowKernels.products(
            type, keyRows, count, headDim, queries, g * padded, scores, g * stride + at);
      }
    }

    /** Products of a chunk's keys in the window with all queries, to token {@code at}. */
    private void products(long keys, int at) {
      if (kv.resident.format() == ChunkFormat.INT8) {
        codeProducts(keys, at);
      } else {
        products(kv.layout.type(), keys, kv.layout.grid().chunk(), at);
      }
    }

    private void codeProducts(long keys, int at) {
      int g = 0;
      for (; g + 2 <= size; g += 2) {
        Int8Kernels.products2(
            kv.resident, keys, queries, g * padded, padded, scores, g * stride + at, stride);
      }
      if (g < size) {
        Int8Kernels.products(kv.resident, keys, queries, g * padded, scores, g * stride + at);
      }
    }

    /** Folds the tile: stretches in which no maximum rises, one after the other. */
    private void fold() {
      int from = 0;
      while (from < unitCount) {
        int to = from + 1;
        if (rises(units[from], tokens)) {
          raise(units[from], units[to]);
          while (to < unitCount && !rises(units[to], units[to + 1])) {
            to++;
          }
        } else {
          to = unitCount;
        }
        accumulate(from, to);
        from = to;
      }
      unitCount = 0;
      tokens = 0;
    }

    private float most(int g, int from, int to) {
      return ShareKernels.largest(softmax[2 * g], scores, g * stride + from, to - from);
    }

    private boolean rises(int from, int to) {
      for (int g = 0; g < size; g++) {
        if (!(most(g, from, to) <= softmax[2 * g])) {
          return true;
        }
      }
      return false;
    }

    /** Brings the sums so far to the maximum that includes a unit. */
    private void raise(int from, int to) {
      for (int g = 0; g < size; g++) {
        float old = softmax[2 * g];
        float max = most(g, from, to);
        if (!(max <= old)) {
          float decay = Lanes.exp(old - max);
          softmax[2 * g] = max;
          softmax[2 * g + 1] *= decay;
          ShareKernels.multiply(sums, g * padded, padded, decay);
        }
      }
    }

    private void accumulate(int fromUnit, int toUnit) {
      int from = units[fromUnit];
      int to = units[toUnit];
      for (int g = 0; g < size; g++) {
        float max = softmax[2 * g];
        int at = g * stride;
        ShareKernels.exp(scores, at + from, to - from, max, weights);
        float total = softmax[2 * g + 1];
        for (int unit = fromUnit; unit < toUnit; unit++) {
          float sum = 0;
          for (int t = units[unit]; t < units[unit + 1]; t++) {
            sum += weights[at + t];
          }
          total += sum;
        }
        softmax[2 * g + 1] = total;
      }
      if (!inPanels) {
        ValueKernels.add(valueRows, units, fromUnit, toUnit, weights, stride, size, headDim, sums);
        return;
      }
      TileKernels.multiplyAdd(
          weights,
          from,
          stride,
          size,
          values,
          from * TileKernels.COLUMNS,
          tile * TileKernels.COLUMNS,
          to - from,
          padded,
          sums,
          0,
          padded);
    }
  }
}

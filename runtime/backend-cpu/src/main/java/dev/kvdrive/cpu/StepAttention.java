package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.plan.ChunkGrid;
import jdk.incubator.vector.FloatVector;

/**
 * Attention of a decode step: {@code beginAttention}, {@code attendHits}, {@code attendMisses} and
 * {@code finishAttention}.
 *
 * <p>Sink, ring and selected chunks are folded into a running softmax, in this order, a chunk at a
 * time. Where a chunk lay decides only when its scores are computed: hits early, misses when they
 * have landed. The fold itself waits for both and goes in the order of the selection, so that
 * windows, tiers and passes change no bit.
 *
 * <p>State, F32: {@code [maxRows][heads]{maximum, sum, values[headDim]}}, then the scores of a pass
 * {@code [maxRows][heads][passChunks][chunk]}, within {@code Workspace.attentionBytes}, which has
 * room for {@code ATTENTION_SPLITS} states more, so that a vector read behind the last score stays
 * inside.
 */
final class StepAttention {
  private final ComputePool pool;
  private final ThreadScratch[] scratch;

  StepAttention(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  private interface Work {
    void run(int row, int seat, int head, ThreadScratch scratch);
  }

  private void forEachHead(StepRows batch, int heads, Work work) {
    pool.run(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int seat = batch.seat(row);
          if (seat >= 0) {
            work.run(row, seat, task % heads, scratch[thread]);
          }
        });
  }

  void begin(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, thread) -> {
          ChunkGrid grid = kv.layout.grid();
          int tokens = batch.tokens(row);
          for (int g = 0; g < shape.groupSize(); g++) {
            states.clear(row, head * shape.groupSize() + g);
          }
          Group group = new Group(kv, shape, states, row, head, thread);
          group.scaleQueries(query + row * queryStride);
          long keys = kv.denseKeys(seat, head);
          int rowBytes = kv.layout.rowBytes();
          group.attendDense(keys, Math.min(tokens, grid.sink()));
          long ring = keys + (long) grid.sink() * rowBytes;
          int token = grid.firstToken(grid.closedChunks(tokens));
          while (token < tokens) {
            // A ring's chunk never wraps when its capacity is whole chunks; others go piecewise.
            int slot = grid.ringSlot(token);
            int count =
                Math.min(Math.min(grid.chunk(), tokens - token), grid.ringCapacity() - slot);
            group.attendDense(ring + (long) slot * rowBytes, count);
            token += count;
          }
        });
  }

  void attendHits(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      SelectionMemory selection,
      int pass,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, thread) -> {
          int count = selection.passCount(row, head, pass);
          int misses = Memory.getInt(selection.missCount(row, head));
          if (count == misses) {
            return;
          }
          Group group = new Group(kv, shape, states, row, head, thread);
          group.scaleQueries(query + row * queryStride);
          long slots = selection.slots(row, head);
          long missAt = selection.misses(row, head);
          int next = 0;
          for (int i = 0; i < count; i++) {
            if (next < misses && Memory.getInt(missAt + 4L * next) == i) {
              next++;
            } else {
              group.score(seat, Memory.getInt(slots + 4L * i), i);
            }
          }
        });
  }

  void attendMisses(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      SelectionMemory selection,
      int pass,
      AttentionState state) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, thread) -> {
          int count = selection.passCount(row, head, pass);
          if (count == 0) {
            return;
          }
          Group group = new Group(kv, shape, states, row, head, thread);
          group.scaleQueries(query + row * queryStride);
          long slots = selection.slots(row, head);
          long missAt = selection.misses(row, head);
          int misses = Memory.getInt(selection.missCount(row, head));
          for (int m = 0; m < misses; m++) {
            int i = Memory.getInt(missAt + 4L * m);
            int slot = Memory.getInt(slots + 4L * i);
            if (slot >= 0) {
              group.score(seat, slot, i);
            }
          }
          for (int i = 0; i < count; i++) {
            int slot = Memory.getInt(slots + 4L * i);
            if (slot >= 0) {
              group.fold(seat, slot, i);
            }
          }
        });
  }

  void finish(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      SelectionMemory selection,
      AttentionState state,
      long out,
      long outStride) {
    StateMemory states = new StateMemory(shape, kv.layout.grid(), state);
    forEachHead(
        batch,
        shape.kvHeads(),
        (row, seat, head, thread) -> {
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
          noteAttention(kv, shape, selection, states, row, seat, head, thread);
        });
  }

  /** Brings {@code attentionOfSlot} of a (row, KV head) up to date. */
  private static void noteAttention(
      KvMemory kv,
      AttentionShape shape,
      SelectionMemory selection,
      StateMemory states,
      int row,
      int seat,
      int head,
      ThreadScratch scratch) {
    long attention = kv.attentionOfSlot(seat, head);
    int windowSlots = kv.layer.windowSlots()[head];
    for (int slot = 0; slot < windowSlots; slot++) {
      long at = attention + 4L * slot;
      Memory.putFloat(at, Memory.getFloat(at) * KvLayer.ATTENTION_DECAY);
    }
    int selected = Memory.getInt(selection.selectedCount(row, head));
    int passChunks = selection.selection.passChunks();
    if (selected == 0) {
      return;
    }
    int count = selection.passCount(row, head, (selected - 1) / passChunks);
    int chunk = kv.layout.grid().chunk();
    int scores = count * chunk;
    long weights = scratch.floats(Use.WEIGHTS, scores);
    long masses = scratch.floats(Use.SUMS, count);
    Memory.clear(masses, 4L * count);
    for (int g = 0; g < shape.groupSize(); g++) {
      int queryHead = head * shape.groupSize() + g;
      float max = Memory.getFloat(states.maximum(row, queryHead));
      float share = 1 / Memory.getFloat(states.sum(row, queryHead));
      long from = states.scores(row, queryHead);
      for (int i = 0; i < scores; i += Lanes.N) {
        Lanes.store(Lanes.exp(Lanes.load(from + 4L * i).sub(max)), weights + 4L * i);
      }
      for (int i = 0; i < count; i++) {
        float mass = 0;
        for (int t = 0; t < chunk; t++) {
          mass += Memory.getFloat(weights + 4L * (i * chunk + t));
        }
        long at = masses + 4L * i;
        Memory.putFloat(at, Math.fma(mass, share, Memory.getFloat(at)));
      }
    }
    long slots = selection.slots(row, head);
    for (int i = 0; i < count; i++) {
      int slot = Memory.getInt(slots + 4L * i);
      if (slot >= 0) {
        Memory.putFloat(attention + 4L * slot, Memory.getFloat(masses + 4L * i));
      }
    }
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
  private static final class StateMemory {
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

    void clear(int row, int queryHead) {
      Memory.putFloat(maximum(row, queryHead), Float.NEGATIVE_INFINITY);
      Memory.clear(sum(row, queryHead), 4L * (1 + headDim));
    }
  }

  /** The queries of one (row, KV head) and what they have attended so far. */
  private static final class Group {
    private final KvMemory kv;
    private final AttentionShape shape;
    private final StateMemory states;
    private final int row;
    private final int head;
    private final int size;
    private final int headDim;
    private final int padded;
    private final int chunk;
    private final long queries;
    private final long keys;
    private final long values;
    private final long scores;
    private final long weights;

    Group(
        KvMemory kv,
        AttentionShape shape,
        StateMemory states,
        int row,
        int head,
        ThreadScratch scratch) {
      this.kv = kv;
      this.shape = shape;
      this.states = states;
      this.row = row;
      this.head = head;
      size = shape.groupSize();
      headDim = shape.headDim();
      padded = KvRows.padded(headDim);
      chunk = Math.max(kv.layout.grid().chunk(), kv.layout.grid().sink());
      queries = scratch.floats(Use.QUERIES, (long) size * padded);
      keys = scratch.floats(Use.KEYS, (long) chunk * padded);
      values = scratch.floats(Use.VALUES, (long) chunk * padded);
      scores = scratch.floats(Use.SCORES, chunk);
      weights = scratch.floats(Use.WEIGHTS, chunk);
    }

    void scaleQueries(long rowQueries) {
      long from = rowQueries + 4L * head * size * headDim;
      for (int g = 0; g < size; g++) {
        scale(from + 4L * g * headDim, headDim, shape.scale(), queries + 4L * g * padded, padded);
      }
    }

    /** Scores and folds {@code count} consecutive tokens of sink or ring. */
    void attendDense(long keyRows, int count) {
      if (count == 0) {
        return;
      }
      KvRows.widen(kv.layout.type(), keyRows, count, headDim, keys, padded);
      KvRows.widen(
          kv.layout.type(), keyRows + kv.denseValueOffset(), count, headDim, values, padded);
      for (int g = 0; g < size; g++) {
        KvRows.products(queries + 4L * g * padded, keys, count, padded, scores);
        fold(head * size + g, scores, count);
      }
    }

    /** Scores chunk {@code i} of the pass, which is in {@code slot}. */
    void score(int seat, int slot, int i) {
      int tokens = kv.layout.grid().chunk();
      long at = kv.window(seat, head) + (long) slot * kv.layout.chunkBytes();
      KvRows.widen(kv.layout.type(), at, tokens, headDim, keys, padded);
      for (int g = 0; g < size; g++) {
        // Through the scratch, since products write a whole vector and the next score may be there.
        KvRows.products(queries + 4L * g * padded, keys, tokens, padded, scores);
        Memory.copy(scores, states.scores(row, head * size + g) + 4L * i * tokens, 4L * tokens);
      }
    }

    /** Folds chunk {@code i} of the pass, whose scores are known. */
    void fold(int seat, int slot, int i) {
      int tokens = kv.layout.grid().chunk();
      long at =
          kv.window(seat, head) + (long) slot * kv.layout.chunkBytes() + kv.layout.valueOffset();
      KvRows.widen(kv.layout.type(), at, tokens, headDim, values, padded);
      for (int g = 0; g < size; g++) {
        fold(head * size + g, states.scores(row, head * size + g) + 4L * i * tokens, tokens);
      }
    }

    private void fold(int queryHead, long from, int tokens) {
      long maximum = states.maximum(row, queryHead);
      float old = Memory.getFloat(maximum);
      float max = old;
      for (int t = 0; t < tokens; t++) {
        max = Math.max(max, Memory.getFloat(from + 4L * t));
      }
      float sum = 0;
      for (int t = 0; t < tokens; t += Lanes.N) {
        Lanes.store(Lanes.exp(Lanes.load(from + 4L * t).sub(max)), weights + 4L * t);
      }
      for (int t = 0; t < tokens; t++) {
        sum += Memory.getFloat(weights + 4L * t);
      }
      float decay = max > old ? Lanes.exp(old - max) : 1;
      long sumAt = states.sum(row, queryHead);
      Memory.putFloat(sumAt, Math.fma(Memory.getFloat(sumAt), decay, sum));
      Memory.putFloat(maximum, max);
      addValues(states.values(row, queryHead), decay, tokens);
    }

    /** {@code target = target * decay + sum over tokens of weight * value}. */
    private void addValues(long target, float decay, int tokens) {
      int whole = headDim - headDim % Lanes.N;
      for (int i = 0; i < whole; i += Lanes.N) {
        FloatVector sum = Lanes.load(target + 4L * i).mul(decay);
        for (int t = 0; t < tokens; t++) {
          sum =
              FloatVector.broadcast(Lanes.F, Memory.getFloat(weights + 4L * t))
                  .fma(Lanes.load(values + 4L * ((long) t * padded + i)), sum);
        }
        Lanes.store(sum, target + 4L * i);
      }
      for (int i = whole; i < headDim; i++) {
        float sum = Memory.getFloat(target + 4L * i) * decay;
        for (int t = 0; t < tokens; t++) {
          sum =
              Math.fma(
                  Memory.getFloat(weights + 4L * t),
                  Memory.getFloat(values + 4L * ((long) t * padded + i)),
                  sum);
        }
        Memory.putFloat(target + 4L * i, sum);
      }
    }
  }
}

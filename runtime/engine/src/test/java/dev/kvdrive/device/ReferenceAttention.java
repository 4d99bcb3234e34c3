package dev.kvdrive.device;

import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** Attention as the contract says it, one token after the other, in double. */
final class ReferenceAttention extends ReferenceMemory implements AttentionOperations {
  ReferenceAttention(ElementType activations) {
    super(activations);
  }

  // Attention state in doubles, [maxRows][heads]{max, sum, values[headDim]}, then the F32 scores of
  // a pass, [maxRows][heads][passChunks][chunk]. A pass is folded token by token in the order of
  // the selection, so that neither passes nor hits and misses change a bit.

  @Override
  public void begin(Queue queue, Begin a) {
    StepBatch batch = a.step().batch();
    KvLayer layer = a.step().layer();
    AttentionShape shape = a.shape();
    Activations query = require(a.query());
    AttentionState state = a.state();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  ChunkGrid grid = layout.grid();
                  int tokens = position + 1;
                  long keyToValue = (long) grid.denseTokens() * layout.rowBytes();
                  for (int head = 0; head < shape.heads(); head++) {
                    Fold fold = new Fold(shape, state, row, head);
                    fold.clear();
                    long base = denseBase(layer, seat, head / shape.groupSize());
                    for (int t = 0; t < Math.min(tokens, grid.sink()); t++) {
                      long at = base + (long) t * layout.rowBytes();
                      double s =
                          product(shape, row(layout, memory(layer.dense()), at), query, row, head);
                      fold.add(s, row(layout, memory(layer.dense()), at + keyToValue));
                    }
                    for (int t = grid.firstToken(grid.closedChunks(tokens)); t < tokens; t++) {
                      long at = base + (long) (grid.sink() + grid.ringSlot(t)) * layout.rowBytes();
                      double s =
                          product(shape, row(layout, memory(layer.dense()), at), query, row, head);
                      fold.add(s, row(layout, memory(layer.dense()), at + keyToValue));
                    }
                    fold.store();
                  }
                }));
  }

  @Override
  public void estimate(Queue queue, Estimate a) {
    KvLayer layer = a.step().layer();
    AttentionShape shape = a.shape();
    Activations query = require(a.query());
    Selection selection = a.selection();
    submit(
        queue,
        () ->
            forEachRow(
                a.step().batch(),
                (row, seat, position) -> {
                  int chunkTokens = layer.layout().grid().chunk();
                  for (int head = 0; head < shape.heads(); head++) {
                    int kvHead = head / shape.groupSize();
                    long cell = (long) row * shape.kvHeads() + kvHead;
                    ReferenceClusters clusters = new ReferenceClusters(layer, seat, kvHead);
                    int[] left = new int[clusters.count()];
                    Arrays.setAll(left, clusters::size);
                    for (int i = 0; i < intAt(selection.selectedCount(), cell); i++) {
                      int chunk = selected(selection, cell, i);
                      for (int t = 0; t < chunkTokens && chunk < clusters.clustered(); t++) {
                        left[clusters.clusterOf(chunk * chunkTokens + t)]--;
                      }
                    }
                    Fold fold = new Fold(shape, a.state(), row, head);
                    for (int j = 0; j < left.length; j++) {
                      if (left[j] > 0) {
                        float[] centroid = clusters.centroid(j);
                        double product = 0;
                        for (int i = 0; i < centroid.length; i++) {
                          product +=
                              (double) centroid[i] * get(query, row, head * centroid.length + i);
                        }
                        float[] value = clusters.value(j);
                        fold.add(shape.scale() * product + Math.log(left[j]), i -> value[i]);
                      }
                    }
                    fold.store();
                  }
                }));
  }

  @Override
  public void hits(Queue queue, Attend a) {
    StepBatch batch = a.of().batch();
    KvLayer layer = a.of().layer();
    Selection selection = a.of().selection();
    int pass = a.of().pass();
    AttentionShape shape = a.shape();
    Activations query = require(a.query());
    AttentionState state = a.state();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  for (int head = 0; head < shape.heads(); head++) {
                    long cell = (long) row * shape.kvHeads() + head / shape.groupSize();
                    int misses = intAt(selection.missCount(), cell);
                    int next = 0;
                    for (int i = 0; i < passCount(selection, cell, pass); i++) {
                      if (next < misses
                          && intAt(selection.misses(), cell * selection.passChunks() + next) == i) {
                        next++;
                      } else {
                        scoreChunk(layer, shape, query, selection, state, row, seat, head, i);
                      }
                    }
                  }
                }));
  }

  @Override
  public void misses(Queue queue, Attend a) {
    StepBatch batch = a.of().batch();
    KvLayer layer = a.of().layer();
    Selection selection = a.of().selection();
    int pass = a.of().pass();
    AttentionShape shape = a.shape();
    Activations query = require(a.query());
    AttentionState state = a.state();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  for (int head = 0; head < shape.heads(); head++) {
                    long cell = (long) row * shape.kvHeads() + head / shape.groupSize();
                    int misses = intAt(selection.missCount(), cell);
                    for (int m = 0; m < misses; m++) {
                      int i = intAt(selection.misses(), cell * selection.passChunks() + m);
                      if (intAt(selection.slots(), cell * selection.passChunks() + i) >= 0) {
                        scoreChunk(layer, shape, query, selection, state, row, seat, head, i);
                      }
                    }
                    Fold fold = new Fold(shape, state, row, head);
                    for (int i = 0; i < passCount(selection, cell, pass); i++) {
                      int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                      if (slot < 0) {
                        continue;
                      }
                      long at = chunkInWindow(layer, seat, head / shape.groupSize(), slot);
                      for (int t = 0; t < layout.grid().chunk(); t++) {
                        double s =
                            floatAt(
                                state.buffer(), scoreIndex(layout, shape, state, row, head, i, t));
                        fold.add(s, chunkRow(layer, at + layout.resident().valueOffset(), t));
                      }
                    }
                    fold.store();
                  }
                }));
  }

  @Override
  public void finish(Queue queue, Finish a) {
    StepBatch batch = a.step().batch();
    AttentionShape shape = a.shape();
    AttentionState state = a.state();
    Activations out = require(a.out());
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  for (int head = 0; head < shape.heads(); head++) {
                    Fold fold = new Fold(shape, state, row, head);
                    for (int i = 0; i < shape.headDim(); i++) {
                      set(out, row, head * shape.headDim() + i, fold.values[i] / fold.sum);
                    }
                  }
                }));
  }

  @Override
  public void causal(Queue queue, Causal a) {
    KvLayer layer = a.layer();
    AttentionShape shape = a.shape();
    PrefillScratch scratch = a.scratch();
    Activations query = require(a.query());
    int start = a.start();
    int rows = a.rows();
    Activations out = require(a.out());
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          MemorySegment memory = memory(scratch.buffer());
          long keyToValue = (long) scratch.maxTokens() * layout.rowBytes();
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < shape.heads(); head++) {
              int keys = start + row + 1;
              double[] weights = new double[keys];
              double max = Double.NEGATIVE_INFINITY;
              for (int t = 0; t < keys; t++) {
                long key = scratchRow(layout, scratch, head / shape.groupSize(), t);
                weights[t] = product(shape, row(layout, memory, key), query, row, head);
                max = Math.max(max, weights[t]);
              }
              double sum = 0;
              double[] values = new double[shape.headDim()];
              for (int t = 0; t < keys; t++) {
                double weight = Math.exp(weights[t] - max);
                sum += weight;
                long value = scratchRow(layout, scratch, head / shape.groupSize(), t) + keyToValue;
                for (int i = 0; i < values.length; i++) {
                  values[i] += weight * kvAt(layout, memory, value, i);
                }
              }
              for (int i = 0; i < values.length; i++) {
                set(out, row, head * shape.headDim() + i, values[i] / sum);
              }
            }
          }
        });
  }

  private void scoreChunk(
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      AttentionState state,
      int row,
      int seat,
      int head,
      int indexOfPass) {
    KvLayout layout = layer.layout();
    int kvHead = head / shape.groupSize();
    long cell = (long) row * shape.kvHeads() + kvHead;
    int slot = intAt(selection.slots(), cell * selection.passChunks() + indexOfPass);
    long at = chunkInWindow(layer, seat, kvHead, slot);
    for (int t = 0; t < layout.grid().chunk(); t++) {
      double s = product(shape, chunkRow(layer, at, t), query, row, head);
      setFloat(
          state.buffer(), scoreIndex(layout, shape, state, row, head, indexOfPass, t), (float) s);
    }
  }

  private static long scoreIndex(
      KvLayout layout,
      AttentionShape shape,
      AttentionState state,
      int row,
      int head,
      int indexOfPass,
      int token) {
    long states = (long) state.maxRows() * shape.heads() * (2 + shape.headDim()) * 2;
    return states
        + (((long) row * shape.heads() + head) * state.passChunks() + indexOfPass)
            * layout.grid().chunk()
        + token;
  }

  private static long chunkInWindow(KvLayer layer, int seat, int head, int slot) {
    return slotAt(layer, seat, head, slot) * layer.layout().resident().bytes();
  }

  /** A row of a chunk in the window. */
  private static Row chunkRow(KvLayer layer, long half, int token) {
    ChunkLayout resident = layer.layout().resident();
    MemorySegment chunks = memory(layer.window().chunks());
    return i -> ReferenceChunk.read(resident, chunks, half, token, i);
  }

  /** Online softmax of one query, read from and written to the state's memory. */
  static final class Fold {
    private final MemorySegment memory;
    private final long at;
    private double max;
    private double sum;
    private final double[] values;

    Fold(AttentionShape shape, AttentionState state, int row, int head) {
      memory = memory(state.buffer());
      at = ((long) row * shape.heads() + head) * (2 + shape.headDim());
      max = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, at);
      sum = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, at + 1);
      values = new double[shape.headDim()];
      for (int i = 0; i < values.length; i++) {
        values[i] = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, at + 2 + i);
      }
    }

    /** Log of the running sum. */
    double logMass() {
      return max + Math.log(sum);
    }

    void clear() {
      max = Double.NEGATIVE_INFINITY;
      sum = 0;
      Arrays.fill(values, 0);
    }

    void add(double score, Row value) {
      if (score > max) {
        double factor = Math.exp(max - score);
        sum *= factor;
        for (int i = 0; i < values.length; i++) {
          values[i] *= factor;
        }
        max = score;
      }
      double weight = Math.exp(score - max);
      sum += weight;
      for (int i = 0; i < values.length; i++) {
        values[i] += weight * value.get(i);
      }
    }

    void store() {
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, at, max);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, at + 1, sum);
      for (int i = 0; i < values.length; i++) {
        memory.setAtIndex(ValueLayout.JAVA_DOUBLE, at + 2 + i, values[i]);
      }
    }
  }
}

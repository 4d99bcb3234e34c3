package dev.kvdrive.cpu;

import static dev.kvdrive.cpu.CpuOperations.address;
import static dev.kvdrive.cpu.CpuOperations.requireF32;
import static dev.kvdrive.cpu.CpuOperations.stride;
import static dev.kvdrive.cpu.CpuOperations.submit;

import dev.kvdrive.cpu.StepAttention.StateMemory;
import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.LandmarkSummary;
import org.jspecify.annotations.Nullable;

/** Summaries of chunks: writes them, scores chunks by them, selects the best; clusters. */
final class ChunkIndex implements IndexOperations {
  private final ComputePool pool;
  private final ThreadScratch[] scratch;
  private final KeyClusters clusters;

  ChunkIndex(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    clusters = new KeyClusters(pool, scratch);
    this.scratch = scratch;
  }

  @Override
  public void summarise(Queue queue, LayerStep step) {
    submit(queue, summarise(new StepRows(step.batch()), new KvMemory(step.layer())));
  }

  @Override
  public void summarise(Queue queue, PromptChunks chunks) {
    submit(queue, () -> summarise(new KvMemory(chunks.layer()), chunks));
  }

  @Override
  public void cluster(Queue queue, Cluster segment) {
    PromptChunks chunks = segment.chunks();
    submit(queue, () -> clusters.build(new KvMemory(chunks.layer()), chunks));
  }

  @Override
  public void join(Queue queue, Join join) {
    LayerStep step = join.step();
    submit(queue, clusters.join(new StepRows(step.batch()), new KvMemory(step.layer())));
  }

  @Override
  public void score(Queue queue, Score a) {
    requireF32(a.query());
    KvMemory kv = new KvMemory(a.step().layer());
    StepRows rows = new StepRows(a.step().batch());
    Summaries[] summaries = Summaries.of(kv);
    AttentionState begun = a.begun();
    @Nullable StateMemory states =
        begun == null ? null : new StateMemory(a.shape(), kv.layout.grid(), begun);
    submit(
        queue,
        score(
            rows,
            kv,
            a.shape(),
            a.query(),
            new SelectionMemory(a.selection(), a.shape().kvHeads()),
            (row, seat, head, queries, closed, count, scores, ofThread) -> {
              double[] beside =
                  states == null || rows.mayMiss(row) <= 0
                      ? NOTHING
                      : beside(states, row, head * a.shape().groupSize(), a.shape(), ofThread);
              score(kv, a, summaries[head], queries, seat, head, closed, scores, beside, ofThread);
            }));
  }

  @Override
  public void scoreClusters(Queue queue, ScoreClusters a) {
    requireF32(a.query());
    KvMemory kv = new KvMemory(a.step().layer());
    ClusterScores clusterScores = new ClusterScores(kv, a.shape());
    submit(
        queue,
        score(
            new StepRows(a.step().batch()),
            kv,
            a.shape(),
            a.query(),
            new SelectionMemory(a.selection(), a.shape().kvHeads()),
            (row, seat, head, queries, closed, count, scores, ofThread) ->
                clusterScores.ofChunks(seat, head, queries, closed, scores, ofThread)));
  }

  @Override
  public void scoreOpened(Queue queue, ScoreOpened opened) {
    Score a = opened.of();
    requireF32(a.query());
    KvMemory kv = new KvMemory(a.step().layer());
    ClusterScores clusterScores = new ClusterScores(kv, a.shape());
    submit(
        queue,
        score(
            new StepRows(a.step().batch()),
            kv,
            a.shape(),
            a.query(),
            new SelectionMemory(a.selection(), a.shape().kvHeads()),
            (row, seat, head, queries, closed, count, scores, ofThread) ->
                clusterScores.ofOpened(
                    seat,
                    head,
                    queries,
                    closed,
                    Math.clamp((long) count * opened.times(), 1, closed),
                    a.merge(),
                    scores,
                    ofThread)));
  }

  @Override
  public void best(Queue queue, Best a) {
    KvLayout layout = a.step().layer().layout();
    submit(
        queue,
        best(
            new StepRows(a.step().batch()),
            layout,
            new SelectionMemory(a.selection(), layout.kvHeads())));
  }

  private Runnable summarise(StepRows batch, KvMemory kv) {
    ChunkGrid grid = kv.layout.grid();
    Summaries[] summaries = Summaries.of(kv);
    return pool.region(
        batch.rows,
        (row, thread) -> {
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int chunk = grid.closedChunks(batch.position(row));
          if (grid.closedChunks(batch.tokens(row)) > chunk) {
            int first = grid.firstToken(chunk);
            for (int head = 0; head < kv.layout.kvHeads(); head++) {
              long ring = kv.denseKeys(seat, head) + (long) grid.sink() * kv.layout.rowBytes();
              long[] keys = scratch[thread].longs(grid.chunk());
              for (int t = 0; t < grid.chunk(); t++) {
                keys[t] = ring + (long) grid.ringSlot(first + t) * kv.layout.rowBytes();
              }
              summaries[head].write(
                  keys, kv.summary(seat, head, chunk), kv.firstOfSummary(chunk), scratch[thread]);
            }
          }
        });
  }

  private void summarise(KvMemory kv, PromptChunks chunks) {
    KvLayout layout = kv.layout;
    Summaries[] summaries = Summaries.of(kv);
    pool.run(
        layout.kvHeads(),
        (head, thread) -> {
          long[] keys = scratch[thread].longs(layout.grid().chunk());
          for (int chunk = chunks.from(); chunk < chunks.to(); chunk++) {
            int token = layout.grid().firstToken(chunk);
            long first = KvWriter.promptKey(layout, chunks.scratch(), head, token);
            for (int t = 0; t < layout.grid().chunk(); t++) {
              keys[t] = first + (long) t * layout.rowBytes();
            }
            summaries[head].write(
                keys,
                kv.summary(chunks.seat(), head, chunk),
                kv.firstOfSummary(chunk),
                scratch[thread]);
          }
        });
  }

  /** Chunks that a row selects of those closed, all if it asks for as many. */
  private static int count(StepRows batch, SelectionMemory selection, int row, int closed) {
    int asked = Math.min(batch.selectCount(row), selection.selection.maxSelected());
    return Math.max(0, Math.min(asked, closed));
  }

  /** Scores the closed chunks of a (seat, KV head), of which {@code count} will be selected. */
  private interface Scorer {
    void score(
        int row,
        int seat,
        int head,
        long queries,
        int closed,
        int count,
        long scores,
        ThreadScratch ofThread);
  }

  /** Scores what rows that do not select all of their chunks have to choose from. */
  private Runnable score(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      Activations query,
      SelectionMemory selection,
      Scorer scorer) {
    long first = address(query);
    long stride = stride(query);
    return pool.region(
        batch.rows * shape.kvHeads(),
        (task, thread) -> {
          int row = task / shape.kvHeads();
          int head = task % shape.kvHeads();
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int closed = kv.layout.grid().closedChunks(batch.tokens(row));
          int count = count(batch, selection, row, closed);
          if (batch.mayMiss(row) > 0 || count < closed) {
            long queries = first + row * stride + 4L * head * shape.groupSize() * shape.headDim();
            long scores = selection.scores(row, head);
            scorer.score(row, seat, head, queries, closed, count, scores, scratch[thread]);
          }
        });
  }

  @Override
  public void pin(Queue queue, Pin a) {
    submit(
        queue,
        pin(
            new StepRows(a.step().batch()),
            new KvMemory(a.step().layer()),
            a,
            new SelectionMemory(a.selection(), a.step().layer().layout().kvHeads())));
  }

  private Runnable pin(StepRows batch, KvMemory kv, Pin a, SelectionMemory selection) {
    int heads = kv.layout.kvHeads();
    LandmarkSummary format = LandmarkSummary.of(kv.layout);
    return pool.region(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int closed = kv.layout.grid().closedChunks(batch.tokens(row));
          int count = count(batch, selection, row, closed);
          int pinned = (int) ((long) count * a.of() / a.per());
          if (count == closed || pinned == 0) {
            return;
          }
          long opposites = scratch[thread].floats(Use.SCORES, closed);
          for (int chunk = 0; chunk < closed; chunk++) {
            long at = kv.summary(seat, head, chunk) + format.cosineOffset();
            Memory.putFloat(opposites + 4L * chunk, -Memory.getFloat(at));
          }
          long lowest = scratch[thread].floats(Use.SUMS, pinned);
          TopChunks.select(
              opposites,
              closed,
              pinned,
              lowest,
              scratch[thread].ints(closed),
              scratch[thread].histogram());
          for (int i = 0; i < pinned; i++) {
            long at = selection.scores(row, head) + 4L * Memory.getInt(lowest + 4L * i);
            Memory.putFloat(at, Float.POSITIVE_INFINITY);
          }
        });
  }

  private Runnable best(StepRows batch, KvLayout layout, SelectionMemory selection) {
    return pool.region(
        batch.rows * layout.kvHeads(),
        (task, thread) -> {
          int row = task / layout.kvHeads();
          int head = task % layout.kvHeads();
          if (batch.seat(row) < 0) {
            return;
          }
          int closed = layout.grid().closedChunks(batch.tokens(row));
          int count = count(batch, selection, row, closed);
          float mayMiss = batch.mayMiss(row);
          if (mayMiss > 0 && count > 0) {
            int enough = enough(selection.scores(row, head), closed, mayMiss, scratch[thread]);
            count = Math.clamp(enough, IndexOperations.Best.least(count), count);
          }
          long selected = selection.selected(row, head);
          if (count == closed) {
            for (int chunk = 0; chunk < closed; chunk++) {
              Memory.putInt(selected + 4L * chunk, chunk);
            }
          } else if (count > 0) {
            TopChunks.select(
                selection.scores(row, head),
                closed,
                count,
                selected,
                scratch[thread].ints(closed),
                scratch[thread].histogram());
          }
          Memory.putInt(selection.selectedCount(row, head), count);
        });
  }

  /** The fewest of the best chunks that leave no more than a share of the attention out. */
  private static int enough(long scores, int closed, float mayMiss, ThreadScratch scratch) {
    long masses = scratch.floats(Use.WEIGHTS, closed);
    Memory.copy(scores, masses, 4L * closed);
    ShareKernels.exp(masses, closed);
    return TopChunks.enough(
        scores,
        masses,
        closed,
        mayMiss,
        scratch.ints(closed),
        scratch.longs(1 << TopChunks.DIGIT_BITS));
  }

  /** Where no share is asked for: what queries have attended already is not looked at. */
  private static final double[] NOTHING = {};

  /** What each query of a group has attended already: the log of its running sum. */
  private static double[] beside(
      StateMemory states, int row, int firstQuery, AttentionShape shape, ThreadScratch scratch) {
    double[] masses = scratch.doubles(shape.groupSize());
    for (int g = 0; g < shape.groupSize(); g++) {
      masses[g] = states.logMass(row, firstQuery + g);
    }
    return masses;
  }

  /** Writes the merged score of every closed chunk. */
  private static void score(
      KvMemory kv,
      Score of,
      Summaries summaries,
      long queries,
      int seat,
      int head,
      int closed,
      long scores,
      double[] beside,
      ThreadScratch scratch) {
    int count = kv.layer.index().format().summaries(closed);
    // One row of products for each query, with room for the vectors that are written beyond it.
    long stride = 4L * (count + Lanes.N);
    int group = of.shape().groupSize();
    long products = scratch.floats(Use.SCORES, (long) group * (count + Lanes.N));
    summaries.products(
        of.shape(), queries, kv.summary(seat, head, 0), count, products, stride, scratch);
    for (int g = 0; beside.length > 0 && g < group; g++) {
      beside[g] -= summaries.common(queries + 4L * g * of.shape().headDim(), of.shape().scale());
    }
    merge(products, stride, count, group, of.merge(), beside);
    int chunks = kv.layer.index().format().chunks();
    if (chunks == 1) {
      Memory.copy(products, scores, 4L * closed);
      return;
    }
    for (int chunk = 0; chunk < closed; chunk++) {
      Memory.putFloat(scores + 4L * chunk, Memory.getFloat(products + 4L * (chunk / chunks)));
    }
  }

  /** {@link #merge} where shares are of what the products are of. */
  static void merge(long products, long stride, int count, int group, Merge merge) {
    merge(products, stride, count, group, merge, NOTHING);
  }

  /**
   * Merges the products of a group into the first row.
   *
   * @param products address of a row for each query, {@code stride} bytes apart, with room for a
   *     vector behind the last of {@code count}
   * @param beside what shares are of as well
   */
  private static void merge(
      long products, long stride, int count, int group, Merge merge, double[] beside) {
    for (int g = 0; g < group; g++) {
      long row = products + g * stride;
      float minus =
          switch (merge) {
            case LARGEST_SHARE -> {
              float all = ShareKernels.logSumExp(row, count);
              yield beside.length == 0 ? all : logOfAll(all, beside[g]);
            }
            case LARGEST_PRODUCT -> 0;
          };
      if (g == 0) {
        ShareKernels.subtract(row, count, minus);
      } else {
        ShareKernels.larger(products, row, count, minus);
      }
    }
  }

  /** Log of the mass of a query, that of what it has attended already with it. */
  private static float logOfAll(float chunks, double beside) {
    if (beside == Double.NEGATIVE_INFINITY) {
      return chunks;
    }
    double larger = Math.max(chunks, beside);
    return (float) (larger + StrictMath.log1p(StrictMath.exp(Math.min(chunks, beside) - larger)));
  }
}

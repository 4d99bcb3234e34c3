package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Scores chunks by their representatives and selects the best: {@code Operations.select}. */
final class ChunkSelection {
  /** Chunks scored at once: a multiple of the lanes of every vector. */
  private static final int BLOCK = 32;

  private final ComputePool pool;
  private final ThreadScratch[] scratch;

  ChunkSelection(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  void select(
      StepRows batch,
      KvMemory kv,
      AttentionShape shape,
      long query,
      long queryStride,
      SelectionMemory selection) {
    pool.run(
        batch.rows * shape.kvHeads(),
        (task, thread) -> {
          int row = task / shape.kvHeads();
          int head = task % shape.kvHeads();
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int closed = kv.layout.grid().closedChunks(batch.tokens(row));
          int count =
              Math.min(Math.min(batch.selectCount(row), selection.selection.maxSelected()), closed);
          long selected = selection.selected(row, head);
          if (count == closed) {
            for (int chunk = 0; chunk < closed; chunk++) {
              Memory.putInt(selected + 4L * chunk, chunk);
            }
          } else {
            long scores = selection.scores(row, head);
            long queries =
                query + row * queryStride + 4L * head * shape.groupSize() * shape.headDim();
            score(kv, shape, queries, seat, head, closed, scores, scratch[thread]);
            if (count > 0) {
              TopChunks.select(
                  scores,
                  closed,
                  count,
                  selected,
                  scratch[thread].ints(closed),
                  scratch[thread].histogram());
            }
          }
          Memory.putInt(selection.selectedCount(row, head), Math.max(0, count));
        });
  }

  /** Writes the merged score of every closed chunk. */
  private static void score(
      KvMemory kv,
      AttentionShape shape,
      long queries,
      int seat,
      int head,
      int closed,
      long scores,
      ThreadScratch scratch) {
    int group = shape.groupSize();
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    long scaled = scratch.floats(Use.QUERIES, (long) group * padded);
    for (int g = 0; g < group; g++) {
      StepAttention.scale(
          queries + 4L * g * headDim, headDim, shape.scale(), scaled + 4L * g * padded, padded);
      TwoBitKeys.rotate(scaled + 4L * g * padded, headDim, kv.layout.rotationBlock());
    }
    KvLayout layout = kv.layout;
    int tokens = layout.grid().chunk();
    // The keys of one token of each chunk of a block, and of all its tokens the steps and products.
    long keys = scratch.floats(Use.KEYS, (long) BLOCK * padded);
    long steps = scratch.floats(Use.VALUES, (long) tokens * BLOCK);
    long ofQuery = (long) tokens * BLOCK + Lanes.N;
    long ofTokens = scratch.floats(Use.SUMS, group * ofQuery);
    // One row of scores for each query, with room for the vectors that are written beyond it.
    long stride = 4L * (closed + Lanes.N);
    long products = scratch.floats(Use.SCORES, (long) group * (closed + Lanes.N));
    long representatives = kv.representatives(seat, head);
    for (int chunk = 0; chunk < closed; chunk += BLOCK) {
      int count = Math.min(BLOCK, closed - chunk);
      for (int t = 0; t < tokens; t++) {
        for (int c = 0; c < count; c++) {
          long from = representatives + (long) (chunk + c) * layout.representativeBytes();
          TwoBitKeys.decode(
              from + (long) t * layout.codeBytes(), headDim, keys + 4L * c * padded, padded);
          short step = Memory.getShort(from + layout.stepOffset() + 2L * t);
          Memory.putFloat(steps + 4L * (t * BLOCK + c), Bfloat16.widen(step));
        }
        for (int g = 0; g < group; g++) {
          KvRows.products(
              scaled + 4L * g * padded,
              keys,
              count,
              padded,
              ofTokens + 4 * (g * ofQuery + (long) t * BLOCK));
        }
      }
      for (int g = 0; g < group; g++) {
        sumTokens(
            ofTokens + 4L * g * ofQuery, steps, tokens, count, products + g * stride + 4L * chunk);
      }
    }
    for (int g = 0; g < group; g++) {
      long row = products + g * stride;
      float logSum = logSumExp(row, closed);
      for (int chunk = 0; chunk < closed; chunk++) {
        float score = Memory.getFloat(row + 4L * chunk) - logSum;
        long at = scores + 4L * chunk;
        Memory.putFloat(at, g == 0 ? score : Math.max(score, Memory.getFloat(at)));
      }
    }
  }

  /**
   * Scores of the chunks of a block: {@code log(sum(exp(product * step)))} over the tokens of each.
   *
   * @param products address of {@code [tokens][BLOCK]} floats, overwritten
   * @param target address of {@code count} floats; up to a vector is written behind them
   */
  private static void sumTokens(long products, long steps, int tokens, int count, long target) {
    for (long c = 0; c < 4L * count; c += 4L * Lanes.N) {
      FloatVector most = FloatVector.broadcast(Lanes.F, Float.NEGATIVE_INFINITY);
      for (int t = 0; t < tokens; t++) {
        long at = 4L * t * BLOCK + c;
        FloatVector score = Lanes.load(products + at).mul(Lanes.load(steps + at));
        Lanes.store(score, products + at);
        most = Lanes.larger(most, score);
      }
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (int t = 0; t < tokens; t++) {
        sum = sum.add(Lanes.exp(Lanes.load(products + 4L * t * BLOCK + c).sub(most)));
      }
      Lanes.store(most.add(Lanes.log(sum)), target + c);
    }
  }

  /** log(sum(exp(x))) of {@code n} floats; up to a vector behind them is overwritten. */
  private static float logSumExp(long x, int n) {
    int end = Math.ceilDiv(n, Lanes.N) * Lanes.N;
    for (int i = n; i < end; i++) {
      Memory.putFloat(x + 4L * i, Float.NEGATIVE_INFINITY);
    }
    FloatVector most = Lanes.load(x);
    for (int i = Lanes.N; i < end; i += Lanes.N) {
      most = Lanes.larger(most, Lanes.load(x + 4L * i));
    }
    float max = most.reduceLanes(VectorOperators.MAX);
    FloatVector sum = FloatVector.zero(Lanes.F);
    for (int i = 0; i < end; i += Lanes.N) {
      sum = sum.add(Lanes.exp(Lanes.load(x + 4L * i).sub(max)));
    }
    return (float) (max + StrictMath.log(Lanes.sum(sum)));
  }
}

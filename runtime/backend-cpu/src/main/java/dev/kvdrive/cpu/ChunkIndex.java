package dev.kvdrive.cpu;

import static dev.kvdrive.cpu.CpuOperations.address;
import static dev.kvdrive.cpu.CpuOperations.requireF32;
import static dev.kvdrive.cpu.CpuOperations.stride;
import static dev.kvdrive.cpu.CpuOperations.submit;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.TwoBitSummary;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Summaries of chunks: writes them, scores chunks by them, selects the best. */
final class ChunkIndex implements IndexOperations {
  /** Chunks scored at once: a multiple of the lanes of every vector. */
  private static final int BLOCK = 32;

  private final ComputePool pool;
  private final ThreadScratch[] scratch;

  ChunkIndex(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  @Override
  public void summarise(Queue queue, LayerStep step) {
    submit(queue, () -> summarise(new StepRows(step.batch()), new KvMemory(step.layer())));
  }

  @Override
  public void summarise(Queue queue, PromptChunks chunks) {
    submit(queue, () -> summarise(new KvMemory(chunks.layer()), chunks));
  }

  @Override
  public void score(Queue queue, Score a) {
    requireF32(a.query());
    submit(
        queue,
        () ->
            score(
                new StepRows(a.step().batch()),
                new KvMemory(a.step().layer()),
                a.shape(),
                address(a.query()),
                stride(a.query()),
                new SelectionMemory(a.selection(), a.shape().kvHeads())));
  }

  @Override
  public void best(Queue queue, Best a) {
    KvLayout layout = a.step().layer().layout();
    submit(
        queue,
        () ->
            best(
                new StepRows(a.step().batch()),
                layout,
                new SelectionMemory(a.selection(), layout.kvHeads())));
  }

  private void summarise(StepRows batch, KvMemory kv) {
    ChunkGrid grid = kv.layout.grid();
    pool.run(
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
              represent(
                  kv,
                  head,
                  kv.summary(seat, head, chunk),
                  t -> ring + (long) grid.ringSlot(first + t) * kv.layout.rowBytes(),
                  scratch[thread]);
            }
          }
        });
  }

  private void summarise(KvMemory kv, PromptChunks chunks) {
    KvLayout layout = kv.layout;
    pool.run(
        layout.kvHeads(),
        (head, thread) -> {
          for (int chunk = chunks.from(); chunk < chunks.to(); chunk++) {
            int token = layout.grid().firstToken(chunk);
            long first = KvWriter.promptKey(layout, chunks.scratch(), head, token);
            represent(
                kv,
                head,
                kv.summary(chunks.seat(), head, chunk),
                t -> first + (long) t * layout.rowBytes(),
                scratch[thread]);
          }
        });
  }

  /** Address of the key of a token of a chunk. */
  private interface KeyRow {
    long at(int token);
  }

  /** Writes the summary of a chunk from its keys. */
  private static void represent(
      KvMemory kv, int head, long target, KeyRow rows, ThreadScratch scratch) {
    switch (kv.layer.index().format()) {
      case SummaryFormat.TwoBit() -> twoBit(kv.layout, target, rows, scratch);
      case SummaryFormat.BitPlanes(int bits) -> {
        KvLayout layout = kv.layout;
        BitPlaneSummary format = BitPlaneSummary.of(layout, bits);
        int padded = KvRows.padded(layout.headDim());
        long key = scratch.floats(Use.KEYS, padded);
        long z = scratch.floats(Use.SUMS, padded);
        for (int t = 0; t < format.chunk(); t++) {
          KvRows.widen(layout.type(), rows.at(t), 1, layout.headDim(), key, padded);
          BitPlaneKeys.encode(format, kv.codebook(head), key, z, target + format.wordOffset(0, t));
        }
      }
      case SummaryFormat.None() -> throw new IllegalStateException("there are no summaries");
    }
  }

  private static void twoBit(KvLayout layout, long target, KeyRow rows, ThreadScratch scratch) {
    TwoBitSummary format = TwoBitSummary.of(layout);
    int headDim = layout.headDim();
    int block = format.rotationBlock();
    int padded = KvRows.padded(headDim);
    long keys = scratch.floats(Use.KEYS, padded);
    for (int t = 0; t < format.chunk(); t++) {
      KvRows.widen(layout.type(), rows.at(t), 1, headDim, keys, padded);
      TwoBitKeys.rotate(keys, headDim, block);
      long codes = target + (long) t * format.codeBytes();
      float cell = TwoBitKeys.encode(keys, headDim, codes, format.codeBytes());
      Memory.putShort(target + format.stepOffset() + 2L * t, Bfloat16.round(cell / block));
    }
  }

  /** Chunks that a row selects of those closed, all if it asks for as many. */
  private static int count(StepRows batch, SelectionMemory selection, int row, int closed) {
    int asked = Math.min(batch.selectCount(row), selection.selection.maxSelected());
    return Math.max(0, Math.min(asked, closed));
  }

  private void score(
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
          if (count(batch, selection, row, closed) < closed) {
            long queries =
                query + row * queryStride + 4L * head * shape.groupSize() * shape.headDim();
            long scores = selection.scores(row, head);
            score(kv, shape, queries, seat, head, closed, scores, scratch[thread]);
          }
        });
  }

  private void best(StepRows batch, KvLayout layout, SelectionMemory selection) {
    pool.run(
        batch.rows * layout.kvHeads(),
        (task, thread) -> {
          int row = task / layout.kvHeads();
          int head = task % layout.kvHeads();
          if (batch.seat(row) < 0) {
            return;
          }
          int closed = layout.grid().closedChunks(batch.tokens(row));
          int count = count(batch, selection, row, closed);
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
    // One row of scores for each query, with room for the vectors that are written beyond it.
    long stride = 4L * (closed + Lanes.N);
    long products = scratch.floats(Use.SCORES, (long) group * (closed + Lanes.N));
    long summaries = kv.summary(seat, head, 0);
    switch (kv.layer.index().format()) {
      case SummaryFormat.TwoBit() ->
          twoBit(kv.layout, shape, queries, summaries, closed, products, stride, scratch);
      case SummaryFormat.BitPlanes(int bits) ->
          bitPlanes(
              BitPlaneSummary.of(kv.layout, bits),
              kv.codebook(head),
              shape,
              queries,
              summaries,
              closed,
              products,
              stride,
              scratch);
      case SummaryFormat.None() -> throw new IllegalStateException("there are no summaries");
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

  private static void bitPlanes(
      BitPlaneSummary format,
      long book,
      AttentionShape shape,
      long queries,
      long summaries,
      int closed,
      long products,
      long stride,
      ThreadScratch scratch) {
    int group = shape.groupSize();
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    int tableFloats = BitPlaneKeys.tableFloats(format);
    long turned = scratch.floats(Use.QUERIES, 2L * padded);
    long tables = scratch.floats(Use.VALUES, (long) group * tableFloats);
    for (int g = 0; g < group; g++) {
      long scaled = turned + 4L * padded;
      StepAttention.scale(queries + 4L * g * headDim, headDim, shape.scale(), scaled, padded);
      BitPlaneKeys.tables(format, book, scaled, turned, tables + 4L * g * tableFloats);
    }
    int tokens = format.chunk();
    int row = tokens * BLOCK;
    // The words of a block's codes, so that those of one token of all its chunks follow each other.
    long codes = scratch.floats(Use.KEYS, (long) format.words() * row);
    long ofTokens = scratch.floats(Use.SUMS, row + Lanes.N);
    for (int chunk = 0; chunk < closed; chunk += BLOCK) {
      int count = Math.min(BLOCK, closed - chunk);
      for (int c = 0; c < count; c++) {
        long from = summaries + (long) (chunk + c) * format.bytes();
        for (int word = 0; word < format.words(); word++) {
          for (int t = 0; t < tokens; t++) {
            Memory.putInt(
                codes + 4L * ((long) word * row + (long) t * BLOCK + c),
                Memory.getInt(from + format.wordOffset(word, t)));
          }
        }
      }
      for (int g = 0; g < group; g++) {
        BitPlaneKeys.products(format, tables + 4L * g * tableFloats, codes, row, ofTokens);
        sumTokens(ofTokens, tokens, count, products + g * stride + 4L * chunk);
      }
    }
  }

  private static void twoBit(
      KvLayout layout,
      AttentionShape shape,
      long queries,
      long summaries,
      int closed,
      long products,
      long stride,
      ThreadScratch scratch) {
    TwoBitSummary format = TwoBitSummary.of(layout);
    int group = shape.groupSize();
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    long scaled = scratch.floats(Use.QUERIES, (long) group * padded);
    for (int g = 0; g < group; g++) {
      StepAttention.scale(
          queries + 4L * g * headDim, headDim, shape.scale(), scaled + 4L * g * padded, padded);
      TwoBitKeys.rotate(scaled + 4L * g * padded, headDim, format.rotationBlock());
    }
    int tokens = format.chunk();
    // The keys of one token of each chunk of a block, and of all its tokens the steps and products.
    long keys = scratch.floats(Use.KEYS, (long) BLOCK * padded);
    long steps = scratch.floats(Use.VALUES, (long) tokens * BLOCK);
    long ofQuery = (long) tokens * BLOCK + Lanes.N;
    long ofTokens = scratch.floats(Use.SUMS, group * ofQuery);
    for (int chunk = 0; chunk < closed; chunk += BLOCK) {
      int count = Math.min(BLOCK, closed - chunk);
      for (int t = 0; t < tokens; t++) {
        for (int c = 0; c < count; c++) {
          long from = summaries + (long) (chunk + c) * format.bytes();
          TwoBitKeys.decode(
              from + (long) t * format.codeBytes(), headDim, keys + 4L * c * padded, padded);
          short step = Memory.getShort(from + format.stepOffset() + 2L * t);
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
        long own = ofTokens + 4L * g * ofQuery;
        takeSteps(own, steps, tokens, count);
        sumTokens(own, tokens, count, products + g * stride + 4L * chunk);
      }
    }
  }

  /** Multiplies the products of the chunks of a block with the steps of their tokens. */
  private static void takeSteps(long products, long steps, int tokens, int count) {
    for (int t = 0; t < tokens; t++) {
      for (long c = 0; c < 4L * count; c += 4L * Lanes.N) {
        long at = 4L * t * BLOCK + c;
        Lanes.store(Lanes.load(products + at).mul(Lanes.load(steps + at)), products + at);
      }
    }
  }

  /**
   * Scores of the chunks of a block: {@code log(sum(exp(product)))} over the tokens of each.
   *
   * @param products address of {@code [tokens][BLOCK]} floats
   * @param target address of {@code count} floats; up to a vector is written behind them
   */
  private static void sumTokens(long products, int tokens, int count, long target) {
    for (long c = 0; c < 4L * count; c += 4L * Lanes.N) {
      FloatVector most = FloatVector.broadcast(Lanes.F, Float.NEGATIVE_INFINITY);
      for (int t = 0; t < tokens; t++) {
        most = Lanes.larger(most, Lanes.load(products + 4L * t * BLOCK + c));
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

package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.plan.KvLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Dense causal attention of a block of prompt tokens, tile of keys by tile of keys with an online
 * softmax (Milakov and Gimelshein 2018; FlashAttention, Dao et al. 2022).
 *
 * <p>A task is some rows of one KV head; the queries of its group share every tile of keys, which
 * is transposed once so that scores need no sums over lanes. Tiles begin at multiples of {@value
 * #KEYS} tokens, and all sums of a query run in the order of tokens and elements, so a row gives
 * the same bits however the prompt is cut into blocks and the block into tasks.
 */
final class CausalAttention {
  /** Tokens of a tile. */
  static final int KEYS = 64;

  /**
   * Queries whose scores of a tile are held at once, so that they stay in the first-level cache.
   */
  private static final int QUERIES = 32;

  /** Rows that are worth a task of their own. */
  private static final int MIN_ROWS = 16;

  /** Tasks for each thread, so that the later and longer ones find a free thread. */
  private static final int TASKS_PER_THREAD = 2;

  private final ComputePool pool;
  private final ThreadScratch[] scratch;

  CausalAttention(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  /** {@code Operations.attendCausal}; addresses and strides in bytes. */
  void attend(
      KvLayout layout,
      AttentionShape shape,
      PrefillScratch keys,
      long query,
      long queryStride,
      int start,
      int rows,
      long out,
      long outStride) {
    int wanted = Math.ceilDiv(TASKS_PER_THREAD * pool.threads(), shape.kvHeads());
    int slices = Math.clamp(wanted, 1, Math.max(1, rows / MIN_ROWS));
    int sliceRows = Math.ceilDiv(rows, slices);
    long memory = CpuBuffer.address(keys.buffer());
    pool.run(
        shape.kvHeads() * slices,
        (task, thread) -> {
          int head = task % shape.kvHeads();
          // The last rows have the most keys: they go first.
          int slice = slices - 1 - task / shape.kvHeads();
          int from = Math.min(rows, slice * sliceRows);
          int to = Math.min(rows, from + sliceRows);
          if (from < to) {
            long headKeys = memory + 2L * head * keys.maxTokens() * layout.rowBytes();
            long headValues = headKeys + (long) keys.maxTokens() * layout.rowBytes();
            int group = shape.groupSize();
            long columns = 4L * head * group * shape.headDim();
            attend(
                layout,
                shape,
                headKeys,
                headValues,
                query + from * queryStride + columns,
                queryStride,
                start + from,
                to - from,
                out + from * outStride + columns,
                outStride,
                scratch[thread]);
          }
        });
  }

  private static void attend(
      KvLayout layout,
      AttentionShape shape,
      long keys,
      long values,
      long query,
      long queryStride,
      int start,
      int rows,
      long out,
      long outStride,
      ThreadScratch scratch) {
    int headDim = shape.headDim();
    int padded = KvRows.padded(headDim);
    int group = shape.groupSize();
    int queries = rows * group;
    int tokens = start + rows;
    long paddedBytes = 4L * padded;
    long scaled = scratch.floats(Use.QUERIES, (long) queries * headDim);
    long sums = scratch.floats(Use.OUTPUT, (long) queries * padded);
    long maxima = scratch.floats(Use.MAXIMA, queries);
    long weights = scratch.floats(Use.SUMS, queries);
    long tileKeys = scratch.floats(Use.KEYS, (long) headDim * KEYS);
    long tileValues = scratch.floats(Use.VALUES, (long) KEYS * padded);
    long scores = scratch.floats(Use.SCORES, (long) QUERIES * KEYS);
    for (int q = 0; q < queries; q++) {
      long from = query + q / group * queryStride + 4L * (q % group) * headDim;
      for (int i = 0; i < headDim; i++) {
        Memory.putFloat(
            scaled + 4L * ((long) q * headDim + i), Memory.getFloat(from + 4L * i) * shape.scale());
      }
      Memory.putFloat(maxima + 4L * q, Float.NEGATIVE_INFINITY);
      Memory.putFloat(weights + 4L * q, 0);
    }
    Memory.clear(sums, queries * paddedBytes);
    for (int tile = 0; tile < tokens; tile += KEYS) {
      int valid = Math.min(KEYS, tokens - tile);
      transpose(layout, keys + (long) tile * layout.rowBytes(), valid, headDim, tileKeys);
      KvRows.widen(
          layout.type(),
          values + (long) tile * layout.rowBytes(),
          valid,
          headDim,
          tileValues,
          padded);
      // The first row that sees the tile is that of its first token.
      int first = Math.max(0, tile - start) * group;
      for (int q = first; q < queries; q += QUERIES) {
        int count = Math.min(QUERIES, queries - q);
        Memory.clear(scores, 4L * count * KEYS);
        Tile.multiplyAdd(
            scaled + 4L * q * headDim,
            4L * headDim,
            count,
            tileKeys,
            4L * KEYS,
            headDim,
            KEYS,
            scores,
            4L * KEYS);
        for (int i = 0; i < count; i++) {
          int seen = Math.min(KEYS, start + (q + i) / group + 1 - tile);
          softmax(
              scores + 4L * i * KEYS,
              seen,
              maxima + 4L * (q + i),
              weights + 4L * (q + i),
              sums + (q + i) * paddedBytes,
              padded);
        }
        Tile.multiplyAdd(
            scores,
            4L * KEYS,
            count,
            tileValues,
            paddedBytes,
            valid,
            padded,
            sums + q * paddedBytes,
            paddedBytes);
      }
    }
    for (int q = 0; q < queries; q++) {
      long to = out + q / group * outStride + 4L * (q % group) * headDim;
      float sum = Memory.getFloat(weights + 4L * q);
      for (int i = 0; i < headDim; i++) {
        Memory.putFloat(to + 4L * i, Memory.getFloat(sums + q * paddedBytes + 4L * i) / sum);
      }
    }
  }

  /** {@code valid} keys of {@code headDim} elements to {@code float[headDim][KEYS]}, the rest 0. */
  private static void transpose(
      KvLayout layout, long keys, int valid, int headDim, long transposed) {
    if (valid < KEYS) {
      Memory.clear(transposed, 4L * headDim * KEYS);
    }
    for (int t = 0; t < valid; t++) {
      long row = keys + (long) t * layout.rowBytes();
      for (int i = 0; i < headDim; i++) {
        Memory.putFloat(transposed + 4L * ((long) i * KEYS + t), KvRows.get(layout.type(), row, i));
      }
    }
  }

  /**
   * Turns the scores of one query and tile into weights, 0 where it does not see, and brings its
   * sums so far to the new maximum.
   */
  private static void softmax(
      long scores, int seen, long maximum, long weight, long sums, int padded) {
    for (int i = seen; i < KEYS; i++) {
      Memory.putFloat(scores + 4L * i, Float.NEGATIVE_INFINITY);
    }
    FloatVector most = Lanes.load(scores);
    for (int i = Lanes.N; i < KEYS; i += Lanes.N) {
      most = most.max(Lanes.load(scores + 4L * i));
    }
    float old = Memory.getFloat(maximum);
    float max = Math.max(old, most.reduceLanes(VectorOperators.MAX));
    FloatVector total = FloatVector.zero(Lanes.F);
    for (int i = 0; i < KEYS; i += Lanes.N) {
      FloatVector p = Lanes.exp(Lanes.load(scores + 4L * i).sub(max));
      Lanes.store(p, scores + 4L * i);
      total = total.add(p);
    }
    float sum = Lanes.sum(total);
    if (max > old) {
      float decay = Lanes.exp(old - max);
      sum = Math.fma(Memory.getFloat(weight), decay, sum);
      for (int i = 0; i < padded; i += Lanes.N) {
        Lanes.store(Lanes.load(sums + 4L * i).mul(decay), sums + 4L * i);
      }
      Memory.putFloat(maximum, max);
    } else {
      sum += Memory.getFloat(weight);
    }
    Memory.putFloat(weight, sum);
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.plan.KvLayout;
import java.util.Arrays;

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
    float[] scaled = scratch.array(Use.QUERIES, queries * headDim);
    float[] sums = scratch.array(Use.OUTPUT, queries * padded);
    float[] maxima = scratch.array(Use.MAXIMA, queries);
    float[] weights = scratch.array(Use.SUMS, queries);
    float[] tileKeys = scratch.array(Use.KEYS, headDim * KEYS);
    float[] tileValues = scratch.array(Use.VALUES, KEYS * padded);
    float[] scores = scratch.array(Use.SCORES, QUERIES * KEYS);
    for (int q = 0; q < queries; q++) {
      long from = query + q / group * queryStride + 4L * (q % group) * headDim;
      for (int i = 0; i < headDim; i++) {
        scaled[q * headDim + i] = Memory.getFloat(from + 4L * i) * shape.scale();
      }
    }
    Arrays.fill(maxima, 0, queries, Float.NEGATIVE_INFINITY);
    Arrays.fill(weights, 0, queries, 0);
    Arrays.fill(sums, 0, queries * padded, 0);
    for (int tile = 0; tile < tokens; tile += KEYS) {
      int valid = Math.min(KEYS, tokens - tile);
      long offset = (long) tile * layout.rowBytes();
      CausalKernels.transpose(layout, keys + offset, valid, headDim, tileKeys);
      PanelKernels.ofRows(
          layout.type(), values + offset, valid, headDim, tileValues, KEYS, 0, padded);
      // The first row that sees the tile is that of its first token.
      int first = Math.max(0, tile - start) * group;
      for (int q = first; q < queries; q += QUERIES) {
        int count = Math.min(QUERIES, queries - q);
        Arrays.fill(scores, 0, count * KEYS, 0);
        TileKernels.multiplyAdd(
            scaled,
            q * headDim,
            headDim,
            count,
            tileKeys,
            0,
            headDim * TileKernels.COLUMNS,
            headDim,
            KEYS,
            scores,
            0,
            KEYS);
        for (int i = 0; i < count; i++) {
          int seen = Math.min(KEYS, start + (q + i) / group + 1 - tile);
          CausalKernels.softmax(scores, i * KEYS, seen, maxima, weights, q + i, sums, padded);
        }
        TileKernels.multiplyAdd(
            scores,
            0,
            KEYS,
            count,
            tileValues,
            0,
            KEYS * TileKernels.COLUMNS,
            valid,
            padded,
            sums,
            q * padded,
            padded);
      }
    }
    for (int q = 0; q < queries; q++) {
      long to = out + q / group * outStride + 4L * (q % group) * headDim;
      for (int i = 0; i < headDim; i++) {
        Memory.putFloat(to + 4L * i, sums[q * padded + i] / weights[q]);
      }
    }
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.plan.MeanSummary;

/** What queries think of clusters, and by these of chunks. */
final class ClusterScores {
  private final KvMemory kv;
  private final ClusterMemory memory;
  private final MeanSummaries means;
  private final AttentionShape shape;
  private final int chunk;

  ClusterScores(KvMemory kv, AttentionShape shape) {
    this.kv = kv;
    memory = new ClusterMemory(kv.layer);
    MeanSummary format = MeanSummary.of(kv.layout);
    means = new MeanSummaries(format, format.bytes());
    this.shape = shape;
    chunk = kv.layout.grid().chunk();
  }

  /** Writes the score of every closed chunk: {@code IndexOperations.ScoreClusters}. */
  void ofChunks(int seat, int head, long queries, int closed, long scores, ThreadScratch scratch) {
    int count = memory.count(seat, head);
    long stride = 4L * (count + Lanes.N);
    long weights = products(seat, head, queries, count, stride, scratch);
    addShares(weights, stride, count, scratch);
    long ids = memory.ids(seat, head, 0);
    long tokens = scratch.floats(Use.KEYS, (long) chunk * TokenKernels.BLOCK);
    long block = scratch.floats(Use.SUMS, TokenKernels.BLOCK + Lanes.N);
    long sums = scratch.floats(Use.OUTPUT, TokenKernels.BLOCK);
    for (int from = 0; from < closed; from += TokenKernels.BLOCK) {
      int some = Math.min(TokenKernels.BLOCK, closed - from);
      for (int c = 0; c < TokenKernels.BLOCK; c++) {
        long id = ids + 2L * (from + Math.min(c, some - 1)) * chunk;
        for (int t = 0; t < chunk; t++) {
          int cluster = Short.toUnsignedInt(Memory.getShort(id + 2L * t));
          Memory.putFloat(
              tokens + 4L * (t * TokenKernels.BLOCK + c), Memory.getFloat(weights + 4L * cluster));
        }
      }
      TokenKernels.logSumExp(tokens, chunk, some, block, sums);
      Memory.copy(block, scores + 4L * from, 4L * some);
    }
  }

  /**
   * Writes the score of every closed chunk that the best clusters open, and minus infinity for the
   * others: {@code IndexOperations.ScoreOpened}.
   *
   * @param open chunks to be opened, at least
   */
  void ofOpened(
      int seat,
      int head,
      long queries,
      int closed,
      int open,
      Merge merge,
      long scores,
      ThreadScratch scratch) {
    int count = memory.count(seat, head);
    long stride = 4L * (count + Lanes.N);
    long weights = products(seat, head, queries, count, stride, scratch);
    ChunkIndex.merge(weights, stride, count, shape.groupSize(), merge);
    // A chunk is as good as its cluster, until those that are good enough are found.
    int clustered = memory.clustered(seat, head);
    long ids = memory.ids(seat, head, 0);
    for (int c = 0; c < closed; c++) {
      float weight =
          c < clustered
              ? Memory.getFloat(weights + 4L * Short.toUnsignedInt(Memory.getShort(ids + 2L * c)))
              : Float.POSITIVE_INFINITY;
      Memory.putFloat(scores + 4L * c, weight);
    }
    long chosen = scratch.floats(Use.SUMS, open);
    TopChunks.select(scores, closed, open, chosen, scratch.ints(closed), scratch.histogram());
    float least = Float.POSITIVE_INFINITY;
    for (int i = 0; i < open; i++) {
      least = Math.min(least, Memory.getFloat(scores + 4L * Memory.getInt(chosen + 4L * i)));
    }
    int[] opened = scratch.ints(closed);
    int n = 0;
    for (int c = 0; c < closed; c++) {
      if (Memory.getFloat(scores + 4L * c) >= least) {
        opened[n++] = c;
      } else {
        Memory.putFloat(scores + 4L * c, Float.NEGATIVE_INFINITY);
      }
    }
    long ownStride = 4L * (n + Lanes.N);
    long products = scratch.floats(Use.SCORES, (long) shape.groupSize() * (n + Lanes.N));
    long first = kv.summary(seat, head, 0);
    means.products(shape, queries, first, opened, n, products, ownStride, scratch);
    ChunkIndex.merge(products, ownStride, n, shape.groupSize(), merge);
    for (int i = 0; i < n; i++) {
      Memory.putFloat(scores + 4L * opened[i], Memory.getFloat(products + 4L * i));
    }
  }

  /**
   * The products of each query with all centroids, a row for each; minus infinity where a cluster
   * has no token.
   *
   * @return address of the rows, {@code stride} bytes apart
   */
  private long products(
      int seat, int head, long queries, int count, long stride, ThreadScratch scratch) {
    int dim = shape.headDim();
    int padded = KvRows.padded(dim);
    int group = shape.groupSize();
    long products = scratch.floats(Use.SCORES, group * stride / 4);
    long scaled = scratch.floats(Use.QUERIES, (long) group * padded);
    for (int g = 0; g < group; g++) {
      StepAttention.scale(
          queries + 4L * g * dim, dim, shape.scale(), scaled + 4L * g * padded, padded);
    }
    long keys = scratch.floats(Use.KEYS, (long) TokenKernels.BLOCK * padded);
    for (int i = 0; i < TokenKernels.BLOCK; i++) {
      for (int e = dim; e < padded; e++) {
        Memory.putFloat(keys + 4L * (i * padded + e), 0);
      }
    }
    long table = memory.clusters(seat, head);
    long mean = memory.mean(seat, head);
    for (int from = 0; from < count; from += TokenKernels.BLOCK) {
      int some = Math.min(TokenKernels.BLOCK, count - from);
      for (int i = 0; i < some; i++) {
        memory.centroid(table + (long) (from + i) * memory.next(), mean, keys + 4L * i * padded);
      }
      for (int g = 0; g < group; g++) {
        RowKernels.ofPadded(
            scaled + 4L * g * padded, keys, some, padded, products + g * stride + 4L * from);
      }
    }
    for (int j = 0; j < count; j++) {
      if (ClusterMemory.size(table + (long) j * memory.next()) == 0) {
        for (int g = 0; g < group; g++) {
          Memory.putFloat(products + g * stride + 4L * j, Float.NEGATIVE_INFINITY);
        }
      }
    }
    return products;
  }

  /** Makes the first row the log of the sum of all rows' softmax. */
  private void addShares(long products, long stride, int count, ThreadScratch scratch) {
    int group = shape.groupSize();
    float[] minus = scratch.array(Use.MAXIMA, group);
    for (int g = 0; g < group; g++) {
      minus[g] = ShareKernels.logSumExp(products + g * stride, count);
    }
    long most = scratch.floats(Use.SUMS, count + Lanes.N);
    long sums = scratch.floats(Use.OUTPUT, count + Lanes.N);
    ShareKernels.largestOfAll(products, stride, count, group, minus, most);
    ShareKernels.sumsOfAll(products, stride, count, group, minus, most, sums);
    ShareKernels.addLogs(most, sums, count, products);
  }
}

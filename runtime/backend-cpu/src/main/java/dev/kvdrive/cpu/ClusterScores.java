package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.KvLayer;
import jdk.incubator.vector.FloatVector;

/** What queries think of clusters, and by these of chunks. */
final class ClusterScores {
  private final ClusterMemory memory;
  private final AttentionShape shape;
  private final int chunk;

  ClusterScores(KvLayer layer, AttentionShape shape) {
    memory = new ClusterMemory(layer);
    this.shape = shape;
    chunk = layer.layout().grid().chunk();
  }

  /** Writes the score of every closed chunk: {@code IndexOperations.ScoreClusters}. */
  void ofChunks(int seat, int head, long queries, int closed, long scores, ThreadScratch scratch) {
    int count = memory.count(seat, head);
    long stride = 4L * (count + Lanes.N);
    long weights = products(seat, head, queries, count, stride, scratch);
    merge(weights, stride, count, scratch.array(Use.MAXIMA, shape.groupSize()));
    long ids = memory.ids(seat, head, 0);
    long tokens = scratch.floats(Use.KEYS, (long) chunk * TokenSums.BLOCK);
    long block = scratch.floats(Use.SUMS, TokenSums.BLOCK + Lanes.N);
    for (int from = 0; from < closed; from += TokenSums.BLOCK) {
      int some = Math.min(TokenSums.BLOCK, closed - from);
      for (int c = 0; c < TokenSums.BLOCK; c++) {
        long id = ids + 2L * (from + Math.min(c, some - 1)) * chunk;
        for (int t = 0; t < chunk; t++) {
          int cluster = Short.toUnsignedInt(Memory.getShort(id + 2L * t));
          Memory.putFloat(
              tokens + 4L * (t * TokenSums.BLOCK + c), Memory.getFloat(weights + 4L * cluster));
        }
      }
      TokenSums.logSumExp(tokens, chunk, some, block);
      Memory.copy(block, scores + 4L * from, 4L * some);
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
    long keys = scratch.floats(Use.KEYS, (long) TokenSums.BLOCK * padded);
    for (int i = 0; i < TokenSums.BLOCK; i++) {
      for (int e = dim; e < padded; e++) {
        Memory.putFloat(keys + 4L * (i * padded + e), 0);
      }
    }
    long table = memory.clusters(seat, head);
    for (int from = 0; from < count; from += TokenSums.BLOCK) {
      int some = Math.min(TokenSums.BLOCK, count - from);
      for (int i = 0; i < some; i++) {
        memory.centroid(table + (long) (from + i) * memory.next(), keys + 4L * i * padded);
      }
      for (int g = 0; g < group; g++) {
        KvRows.products(
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
  private void merge(long products, long stride, int count, float[] minus) {
    int group = shape.groupSize();
    for (int g = 0; g < group; g++) {
      minus[g] = ChunkIndex.logSumExp(products + g * stride, count);
    }
    for (long i = 0; i < 4L * count; i += 4L * Lanes.N) {
      FloatVector most = FloatVector.broadcast(Lanes.F, -Float.MAX_VALUE);
      for (int g = 0; g < group; g++) {
        most = Lanes.larger(most, Lanes.load(products + g * stride + i).sub(minus[g]));
      }
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (int g = 0; g < group; g++) {
        FloatVector share = Lanes.load(products + g * stride + i).sub(minus[g]);
        sum = sum.add(Lanes.exp(share.sub(most)));
      }
      Lanes.store(most.add(Lanes.log(sum)), products + i);
    }
  }
}

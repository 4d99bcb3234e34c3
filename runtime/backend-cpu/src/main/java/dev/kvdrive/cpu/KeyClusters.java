package dev.kvdrive.cpu;

import dev.kvdrive.cpu.ThreadScratch.Use;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import java.util.Arrays;

/**
 * Clusters of similar tokens, as {@link ClusterFormat} says them to the bit. Finding the nearest
 * centroids is a product of all rows with all centroids, {@code depth} multiply-adds for each pair;
 * the rest is one pass over the tokens.
 */
final class KeyClusters {
  /** Tokens of one task, and of one product. */
  private static final int TASK_TOKENS = 512;

  private static final int TILE_TOKENS = 32;

  /** Elements that one task sums up. */
  private static final int TASK_ELEMENTS = 32;

  private final ComputePool pool;
  private final ThreadScratch[] scratch;

  KeyClusters(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  /**
   * A segment that is being clustered; what it needs of memory goes with it. Its members are called
   * tokens here and are its chunks where these are clustered.
   */
  private static final class Segment {
    final KvLayout layout;
    final ClusterMemory memory;
    final int headDim;

    /** Elements of a row: those of the key, and those of the value where they count. */
    final int depth;

    final int tokens;
    final int clusters;

    /** Clusters in whole panels; what is beyond {@link #clusters} is never the nearest. */
    final int padded;

    /** The number of the first cluster, and the seat and chunk. */
    final int first;

    final int seat;
    final int chunk;

    /** {@code [kvHeads][padded / COLUMNS][depth][COLUMNS]}. */
    final float[] centroids;

    /** {@code [kvHeads][clusters][depth]}. */
    final float[] sums;

    /** {@code [kvHeads][tokens]}, counted from the segment's first cluster. */
    final short[] nearest;

    /** {@code [kvHeads][clusters]}. */
    final int[] sizes;

    private final KvMemory kv;
    private final PromptChunks chunks;

    Segment(KvMemory kv, PromptChunks chunks) {
      this.kv = kv;
      layout = kv.layout;
      memory = new ClusterMemory(kv.layer);
      headDim = layout.headDim();
      depth = memory.format.depth(layout);
      this.chunks = chunks;
      seat = chunks.seat();
      chunk = chunks.from();
      int all = chunks.to() - chunks.from();
      tokens = all * memory.format.ofChunk(layout);
      clusters = memory.format.clusters(layout, all);
      padded = Math.ceilDiv(clusters, TileKernels.COLUMNS) * TileKernels.COLUMNS;
      first = memory.format.clusters(layout, chunks.from());
      centroids = new float[layout.kvHeads() * padded * depth];
      sums = new float[layout.kvHeads() * clusters * depth];
      nearest = new short[layout.kvHeads() * tokens];
      sizes = new int[layout.kvHeads() * clusters];
    }

    /** The first row that is clustered; the next ones follow. */
    long keys(int head) {
      if (!memory.format.estimates()) {
        return kv.summary(seat, head, chunk);
      }
      return KvWriter.promptKey(
          layout, chunks.scratch(), head, layout.grid().firstToken(chunks.from()));
    }

    long values(int head) {
      return keys(head) + (long) chunks.scratch().maxTokens() * layout.rowBytes();
    }

    /** A member of the segment that a centroid starts from. */
    int start(int cluster) {
      return (int) ((long) cluster * tokens / clusters);
    }

    /** Where element 0 of a centroid is; the next is {@code COLUMNS} floats on. */
    int centroid(int head, int cluster) {
      return head * padded * depth
          + cluster / TileKernels.COLUMNS * depth * TileKernels.COLUMNS
          + cluster % TileKernels.COLUMNS;
    }

    /** Where sums of values are in a cluster's sums: behind those of keys where both are there. */
    int valueSums() {
      return depth - headDim;
    }

    float valueWeight(int head) {
      return memory.valueWeight(seat, head);
    }
  }

  void build(KvMemory kv, PromptChunks chunks) {
    if (chunks.to() == chunks.from()) {
      return;
    }
    Segment s = new Segment(kv, chunks);
    int heads = s.layout.kvHeads();
    int parts = Math.ceilDiv(s.tokens, TASK_TOKENS);
    int pieces = Math.ceilDiv(s.headDim, TASK_ELEMENTS);
    pool.run(heads, (head, thread) -> start(s, head, scratch[thread]));
    for (int round = 0; round < ClusterFormat.ROUNDS; round++) {
      pool.run(
          heads * parts,
          (task, thread) -> {
            int from = task % parts * TASK_TOKENS;
            assign(s, task / parts, from, Math.min(from + TASK_TOKENS, s.tokens), scratch[thread]);
          });
      pool.run(heads, (head, thread) -> count(s, head));
      pool.run(
          heads * pieces,
          (task, thread) -> {
            int head = task / pieces;
            int from = task % pieces * TASK_ELEMENTS;
            sum(s, head, s.keys(head), from, 0, 1);
            moveCentroids(s, head, from, 0);
            if (s.depth > s.headDim) {
              sum(s, head, s.values(head), from, s.headDim, s.valueWeight(head));
              moveCentroids(s, head, from, s.headDim);
            }
          });
    }
    if (s.memory.format.estimates()) {
      pool.run(
          heads * pieces,
          (task, thread) -> {
            int head = task / pieces;
            sum(s, head, s.values(head), task % pieces * TASK_ELEMENTS, s.valueSums(), 1);
          });
    }
    pool.run(heads, (head, thread) -> store(s, head, chunks.to(), scratch[thread]));
  }

  private static void start(Segment s, int head, ThreadScratch scratch) {
    if (s.chunk == 0 && s.depth > s.headDim) {
      long mean = scratch.floats(Use.SUMS, s.headDim);
      float ofValues = differences(s, s.values(head), mean);
      float ofKeys = differences(s, s.keys(head), mean);
      s.memory.valueWeight(s.seat, head, ClusterFormat.valueWeight(ofKeys, ofValues));
      long base = s.memory.mean(s.seat, head);
      if (base != 0) {
        Memory.copy(mean, base, (long) Float.BYTES * s.headDim);
      }
    }
    for (int j = 0; j < s.clusters; j++) {
      long from = (long) s.start(j) * s.layout.rowBytes();
      int at = s.centroid(head, j);
      for (int i = 0; i < s.headDim; i++) {
        s.centroids[at + i * TileKernels.COLUMNS] =
            KvRows.get(s.layout.type(), s.keys(head) + from, i);
      }
      for (int i = s.headDim; i < s.depth; i++) {
        s.centroids[at + i * TileKernels.COLUMNS] =
            s.valueWeight(head) * KvRows.get(s.layout.type(), s.values(head) + from, i - s.headDim);
      }
    }
  }

  /**
   * How much the rows that centroids start from differ from their mean, squared.
   *
   * @param means where {@code headDim} floats of the mean are written to
   */
  private static float differences(Segment s, long rows, long means) {
    KvType type = s.layout.type();
    int rowBytes = s.layout.rowBytes();
    float all = 0;
    for (int i = 0; i < s.headDim; i++) {
      float mean = 0;
      for (int j = 0; j < s.clusters; j++) {
        mean += KvRows.get(type, rows + (long) s.start(j) * rowBytes, i);
      }
      mean /= s.clusters;
      Memory.putFloat(means + 4L * i, mean);
      float squares = 0;
      for (int j = 0; j < s.clusters; j++) {
        float from = KvRows.get(type, rows + (long) s.start(j) * rowBytes, i) - mean;
        squares = Math.fma(from, from, squares);
      }
      all += squares;
    }
    return all;
  }

  /** Finds the nearest centroids of tokens {@code [from, to)}. */
  private static void assign(Segment s, int head, int from, int to, ThreadScratch scratch) {
    float[] scores = scratch.array(Use.SCORES, TILE_TOKENS * s.padded);
    float[] biases = scratch.array(Use.WEIGHTS, s.padded);
    biases(s, head, biases);
    for (int tile = from; tile < to; tile += TILE_TOKENS) {
      int count = Math.min(TILE_TOKENS, to - tile);
      for (int t = 0; t < count; t++) {
        System.arraycopy(biases, 0, scores, t * s.padded, s.padded);
      }
      multiplyAdd(s, head, s.keys(head), 0, 1, tile, count, scores, scratch);
      if (s.depth > s.headDim) {
        multiplyAdd(
            s, head, s.values(head), s.headDim, s.valueWeight(head), tile, count, scores, scratch);
      }
      for (int t = 0; t < count; t++) {
        s.nearest[head * s.tokens + tile + t] =
            (short) ClusterKernels.largest(scores, t * s.padded, s.padded);
      }
    }
  }

  /**
   * Goes on with scores: products of a part of the tokens' rows, which is {@code weight} times
   * their keys or values, with the elements of the centroids from {@code element} on.
   */
  private static void multiplyAdd(
      Segment s,
      int head,
      long rows,
      int element,
      float weight,
      int token,
      int count,
      float[] scores,
      ThreadScratch scratch) {
    int dim = s.headDim;
    long widened = scratch.floats(Use.KEYS, (long) TILE_TOKENS * dim);
    float[] weighted = scratch.array(Use.KEYS, TILE_TOKENS * dim);
    KvRowKernels.widen(
        s.layout.type(), rows + (long) token * s.layout.rowBytes(), count, dim, widened, dim);
    Memory.copy(widened, weighted, count * dim);
    for (int i = 0; weight != 1 && i < count * dim; i++) {
      weighted[i] *= weight;
    }
    TileKernels.multiplyAdd(
        weighted,
        0,
        dim,
        count,
        s.centroids,
        head * s.padded * s.depth + element * TileKernels.COLUMNS,
        s.depth * TileKernels.COLUMNS,
        dim,
        s.padded,
        scores,
        0,
        s.padded);
  }

  /** {@code -|c|^2 / 2} of every centroid, and below everything where there is none. */
  private static void biases(Segment s, int head, float[] biases) {
    for (int column = 0; column < s.padded; column += TileKernels.COLUMNS) {
      ClusterKernels.halfSquares(s.centroids, s.centroid(head, column), s.depth, biases, column);
    }
    Arrays.fill(biases, s.clusters, s.padded, Float.NEGATIVE_INFINITY);
  }

  private static void count(Segment s, int head) {
    int at = head * s.clusters;
    Arrays.fill(s.sizes, at, at + s.clusters, 0);
    for (int t = 0; t < s.tokens; t++) {
      s.sizes[at + s.nearest[head * s.tokens + t]]++;
    }
  }

  /**
   * Sums up some elements of the tokens of each cluster, in their order.
   *
   * @param rows keys or values
   * @param from their first element
   * @param slot where their element 0 is in a cluster's sums
   * @param weight that each element is multiplied with
   */
  private static void sum(Segment s, int head, long rows, int from, int slot, float weight) {
    int to = Math.min(from + TASK_ELEMENTS, s.headDim);
    KvType type = s.layout.type();
    int sums = head * s.clusters * s.depth + slot;
    for (int j = 0; j < s.clusters; j++) {
      Arrays.fill(s.sums, sums + j * s.depth + from, sums + j * s.depth + to, 0);
    }
    for (int t = 0; t < s.tokens; t++) {
      long row = rows + (long) t * s.layout.rowBytes();
      int at = sums + s.nearest[head * s.tokens + t] * s.depth;
      ClusterKernels.add(type, row, from, to, weight, s.sums, at);
    }
  }

  /** Some elements of the centroids of clusters that have tokens become those of the mean. */
  private static void moveCentroids(Segment s, int head, int from, int slot) {
    int to = Math.min(from + TASK_ELEMENTS, s.headDim);
    for (int j = 0; j < s.clusters; j++) {
      int size = s.sizes[head * s.clusters + j];
      if (size > 0) {
        int sums = (head * s.clusters + j) * s.depth + slot;
        int at = s.centroid(head, j) + slot * TileKernels.COLUMNS;
        for (int i = from; i < to; i++) {
          s.centroids[at + i * TileKernels.COLUMNS] = s.sums[sums + i] / size;
        }
      }
    }
  }

  private static void store(Segment s, int head, int chunks, ThreadScratch scratch) {
    long row = scratch.floats(Use.SUMS, s.headDim);
    long table = s.memory.clusters(s.seat, head) + (long) s.first * s.memory.next();
    long mean = s.memory.mean(s.seat, head);
    for (int j = 0; j < s.clusters; j++) {
      long cluster = table + (long) j * s.memory.next();
      int size = s.sizes[head * s.clusters + j];
      int at = s.centroid(head, j);
      for (int i = 0; i < s.headDim; i++) {
        Memory.putFloat(row + 4L * i, s.centroids[at + i * TileKernels.COLUMNS]);
      }
      s.memory.storeCentroid(cluster, mean, row);
      if (s.memory.format.estimates()) {
        int sums = (head * s.clusters + j) * s.depth + s.valueSums();
        for (int i = 0; i < s.headDim; i++) {
          Memory.putFloat(row + 4L * i, size == 0 ? 0 : s.sums[sums + i] / size);
        }
        s.memory.storeValue(cluster, row);
      }
      ClusterMemory.size(cluster, size);
    }
    long ids = s.memory.ids(s.seat, head, s.chunk);
    for (int t = 0; t < s.tokens; t++) {
      Memory.putShort(ids + 2L * t, (short) (s.first + s.nearest[head * s.tokens + t]));
    }
    s.memory.clustered(s.seat, head, chunks);
  }

  // --- chunks that close in a step ---

  Runnable join(StepRows batch, KvMemory kv) {
    ChunkGrid grid = kv.layout.grid();
    ClusterMemory memory = new ClusterMemory(kv.layer);
    int heads = kv.layout.kvHeads();
    return pool.region(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int chunk = grid.closedChunks(batch.position(row));
          if (grid.closedChunks(batch.tokens(row)) > chunk
              && memory.clustered(seat, head) == chunk) {
            join(kv, memory, seat, head, chunk, scratch[thread]);
          }
        });
  }

  private static void join(
      KvMemory kv, ClusterMemory memory, int seat, int head, int chunk, ThreadScratch scratch) {
    KvLayout layout = kv.layout;
    int dim = layout.headDim();
    boolean estimates = memory.format.estimates();
    int tokens = memory.format.ofChunk(layout);
    long rows = scratch.floats(Use.KEYS, 2L * tokens * dim);
    long values = rows + 4L * tokens * dim;
    if (estimates) {
      ringRows(kv, seat, head, chunk, rows, values);
    } else {
      KvRowKernels.widen(layout.type(), kv.summary(seat, head, chunk), 1, dim, rows, dim);
    }
    int existing = memory.format.clusters(layout, chunk);
    boolean opens = chunk * layout.grid().chunk() % memory.format.tokens() == 0;
    long table = memory.clusters(seat, head);
    long ids = memory.ids(seat, head, chunk);
    if (chunk == 0) {
      memory.noBase(seat, head);
    }
    float weight = memory.format.comparesValues() ? memory.valueWeight(seat, head) : 0;
    long mean = memory.mean(seat, head);
    nearest(memory, table, mean, existing, rows, values, weight, tokens, dim, ids, scratch);
    if (opens) {
      Memory.putShort(ids, (short) existing);
      ClusterMemory.size(table + (long) existing * memory.next(), 0);
    }
    long joined = scratch.floats(Use.SUMS, dim);
    for (int t = 0; t < tokens; t++) {
      long cluster =
          table + (long) Short.toUnsignedInt(Memory.getShort(ids + 2L * t)) * memory.next();
      int size = ClusterMemory.size(cluster);
      memory.centroid(cluster, mean, joined);
      mix(joined, rows + 4L * t * dim, dim, size);
      memory.storeCentroid(cluster, mean, joined);
      if (estimates) {
        memory.value(cluster, joined);
        mix(joined, values + 4L * t * dim, dim, size);
        memory.storeValue(cluster, joined);
      }
      ClusterMemory.size(cluster, size + 1);
    }
    memory.clustered(seat, head, chunk + 1);
  }

  /** A row with one more token beside {@code size}. */
  private static void mix(long row, long x, int dim, int size) {
    for (long i = 0; i < 4L * dim; i += 4) {
      float more = Memory.getFloat(x + i);
      float old = Memory.getFloat(row + i);
      Memory.putFloat(row + i, size == 0 ? more : old + (more - old) / (size + 1));
    }
  }

  private static void ringRows(KvMemory kv, int seat, int head, int chunk, long keys, long values) {
    KvLayout layout = kv.layout;
    ChunkGrid grid = layout.grid();
    int dim = layout.headDim();
    int first = grid.firstToken(chunk);
    for (int t = 0; t < grid.chunk(); t++) {
      long row =
          kv.denseKeys(seat, head)
              + (long) (grid.sink() + grid.ringSlot(first + t)) * layout.rowBytes();
      KvRowKernels.widen(layout.type(), row, 1, dim, keys + 4L * t * dim, dim);
      KvRowKernels.widen(
          layout.type(), row + kv.denseValueOffset(), 1, dim, values + 4L * t * dim, dim);
    }
  }

  /**
   * Writes the nearest of the clusters there are for each token, 0 if there is none. The lanes of a
   * vector are the tokens. Values of weight 0 add zeros to scores and are left out.
   */
  private static void nearest(
      ClusterMemory memory,
      long table,
      long mean,
      int existing,
      long keys,
      long values,
      float weight,
      int tokens,
      int dim,
      long ids,
      ThreadScratch scratch) {
    int padded = Math.ceilDiv(tokens, Lanes.N) * Lanes.N;
    int depth = weight == 0 ? dim : 2 * dim;
    float[] byElement = scratch.array(Use.KEYS, depth * padded);
    for (int i = 0; i < dim; i++) {
      for (int t = 0; t < padded; t++) {
        long at = 4L * ((long) t * dim + i);
        byElement[i * padded + t] = t < tokens ? Memory.getFloat(keys + at) : 0;
        if (depth > dim) {
          byElement[(dim + i) * padded + t] =
              t < tokens ? weight * Memory.getFloat(values + at) : 0;
        }
      }
    }
    long row = scratch.floats(Use.SUMS, depth);
    float[] centroid = scratch.array(Use.VALUES, depth);
    float[] scores = scratch.array(Use.SCORES, padded);
    float[] most = scratch.array(Use.MAXIMA, tokens);
    Arrays.fill(most, 0, tokens, Float.NEGATIVE_INFINITY);
    for (int t = 0; t < tokens; t++) {
      Memory.putShort(ids + 2L * t, (short) 0);
    }
    for (int j = 0; j < existing; j++) {
      memory.centroid(table + (long) j * memory.next(), mean, row);
      if (depth > dim) {
        memory.value(table + (long) j * memory.next(), row + 4L * dim);
      }
      Memory.copy(row, centroid, depth);
      for (int i = dim; i < depth; i++) {
        centroid[i] *= weight;
      }
      float square = 0;
      for (int i = 0; i < depth; i++) {
        square = Math.fma(centroid[i], centroid[i], square);
      }
      ClusterKernels.likeness(byElement, centroid, depth, padded, -0.5f * square, scores);
      for (int t = 0; t < tokens; t++) {
        if (scores[t] > most[t]) {
          most[t] = scores[t];
          Memory.putShort(ids + 2L * t, (short) j);
        }
      }
    }
  }
}

package dev.kvdrive.device;

import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.TwoBitSummary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The clusters of a (seat, KV head), as {@link ClusterFormat} says them. */
final class ReferenceClusters {
  private final KvLayout layout;
  private final ClusterFormat format;
  private final MemorySegment table;
  private final MemorySegment ids;
  private final MemorySegment clustered;
  private final MemorySegment bases;
  private final long cell;
  private final int maxChunks;

  /** Members that a chunk is or has: tokens, below, but for clusters of chunks. */
  private final int ofChunk;

  ReferenceClusters(KvLayer layer, int seat, int head) {
    LayerClusters clusters = layer.index().clustering();
    layout = layer.layout();
    format = clusters.format();
    table = ReferenceMemory.memory(clusters.table());
    ids = ReferenceMemory.memory(clusters.clusterOfMember());
    clustered = ReferenceMemory.memory(clusters.clustered());
    bases = ReferenceMemory.memory(clusters.bases());
    cell = (long) seat * layout.kvHeads() + head;
    maxChunks = layer.maxChunks();
    ofChunk = format.ofChunk(layout);
  }

  /** Keys, or values, of tokens. */
  interface Rows {
    float[] of(int token);
  }

  /** Chunks whose tokens are in clusters. */
  int clustered() {
    return clustered.getAtIndex(ValueLayout.JAVA_INT, cell);
  }

  private void clustered(int chunks) {
    clustered.setAtIndex(ValueLayout.JAVA_INT, cell, chunks);
  }

  private float base(int i) {
    return bases.getAtIndex(ValueLayout.JAVA_FLOAT, cell * format.baseFloats(layout) + i);
  }

  private void base(int i, float x) {
    bases.setAtIndex(ValueLayout.JAVA_FLOAT, cell * format.baseFloats(layout) + i, x);
  }

  private float weight() {
    return base(0);
  }

  /** An element of what centroids are stored as differences from. */
  private float mean(int i) {
    return base(1 + i);
  }

  /** What a member is compared by. */
  private float[] row(float[] key, Supplier<float[]> value) {
    if (!format.comparesValues()) {
      return key;
    }
    float[] row = Arrays.copyOf(key, 2 * key.length);
    float[] of = value.get();
    for (int i = 0; i < key.length; i++) {
      row[key.length + i] = weight() * of[i];
    }
    return row;
  }

  /** The mean of the rows of the tokens from which centroids start. */
  private float[] startingMean(int k, int n, int first, Rows rows) {
    float[] mean = new float[layout.headDim()];
    for (int i = 0; i < mean.length; i++) {
      for (int j = 0; j < k; j++) {
        mean[i] += rows.of(first + start(j, n, k))[i];
      }
      mean[i] /= k;
    }
    return mean;
  }

  /** How much these rows differ from their mean. */
  private float differences(int k, int n, int first, Rows rows, float[] mean) {
    float all = 0;
    for (int i = 0; i < mean.length; i++) {
      float squares = 0;
      for (int j = 0; j < k; j++) {
        float from = rows.of(first + start(j, n, k))[i] - mean[i];
        squares = Math.fma(from, from, squares);
      }
      all += squares;
    }
    return all;
  }

  private static int start(int cluster, int n, int k) {
    return (int) ((long) cluster * n / k);
  }

  /** Clusters there are. */
  int count() {
    return format.clusters(layout, clustered());
  }

  /** Cluster of a member, counted from the first of the first chunk. */
  int clusterOf(int member) {
    return Short.toUnsignedInt(ids.getAtIndex(ValueLayout.JAVA_SHORT, idAt(member)));
  }

  private void clusterOf(int member, int cluster) {
    ids.setAtIndex(ValueLayout.JAVA_SHORT, idAt(member), (short) cluster);
  }

  private long idAt(int member) {
    return cell * maxChunks * ofChunk + member;
  }

  private long at(int cluster) {
    return (cell * format.clusters(layout, maxChunks) + cluster) * format.bytes(layout);
  }

  int size(int cluster) {
    return Short.toUnsignedInt(table.get(ValueLayout.JAVA_SHORT_UNALIGNED, at(cluster)));
  }

  private void size(int cluster, int tokens) {
    int counted = Math.min(tokens, ClusterFormat.MOST_COUNTED);
    table.set(ValueLayout.JAVA_SHORT_UNALIGNED, at(cluster), (short) counted);
  }

  float[] centroid(int cluster) {
    float[] row = stored(at(cluster) + format.centroidOffset());
    for (int i = 0; format.nibbles() && i < row.length; i++) {
      row[i] += mean(i);
    }
    return row;
  }

  float[] value(int cluster) {
    if (!format.estimates()) {
      return centroid(cluster); // nobody reads it
    }
    return stored(at(cluster) + format.valueOffset(layout));
  }

  private float[] stored(long at) {
    float[] row = new float[layout.headDim()];
    int half = ClusterFormat.half(row.length);
    long elements = at + ClusterFormat.groups(row.length);
    for (int i = 0; i < row.length; i++) {
      if (format.nibbles()) {
        int both = table.get(ValueLayout.JAVA_BYTE, elements + i % half);
        int element = (i < half ? both : both >> 4) & 15;
        row[i] = (element - 7.5f) * groupStep(at, i);
      } else {
        float step = table.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at);
        row[i] = step * table.get(ValueLayout.JAVA_BYTE, at + Float.BYTES + i);
      }
    }
    return row;
  }

  private float groupStep(long at, int element) {
    int code = table.get(ValueLayout.JAVA_BYTE, at + element / ClusterFormat.GROUP);
    return ClusterFormat.step(code & 0xff);
  }

  private void store(int cluster, float[] centroid, float[] value) {
    float[] row = centroid.clone();
    for (int i = 0; format.nibbles() && i < row.length; i++) {
      row[i] -= mean(i);
    }
    store(at(cluster) + format.centroidOffset(), row);
    if (format.estimates()) {
      store(at(cluster) + format.valueOffset(layout), value);
    }
  }

  private void store(long at, float[] row) {
    if (format.nibbles()) {
      storeNibbles(at, row);
      return;
    }
    float largest = largest(row, 0, row.length);
    boolean vanishes = largest < TwoBitSummary.SMALLEST_KEY;
    float step = vanishes ? 0 : largest / ClusterFormat.LARGEST;
    float inverse = vanishes ? 0 : ClusterFormat.LARGEST / largest;
    table.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, step);
    for (int i = 0; i < row.length; i++) {
      int code = (int) Math.rint(row[i] * inverse);
      table.set(
          ValueLayout.JAVA_BYTE,
          at + Float.BYTES + i,
          (byte) Math.clamp(code, -ClusterFormat.LARGEST, ClusterFormat.LARGEST));
    }
  }

  private void storeNibbles(long at, float[] row) {
    int half = ClusterFormat.half(row.length);
    int groups = ClusterFormat.groups(row.length);
    byte[] bytes = new byte[half];
    for (int group = 0; group < groups; group++) {
      int from = group * ClusterFormat.GROUP;
      int to = Math.min(from + ClusterFormat.GROUP, row.length);
      int code = ClusterFormat.stepCode(largest(row, from, to));
      table.set(ValueLayout.JAVA_BYTE, at + group, (byte) code);
      float step = ClusterFormat.step(code);
      float inverse = step == 0 ? 0 : 1 / step;
      for (int i = from; i < to; i++) {
        int element = 8 + Math.clamp((int) Math.floor(row[i] * inverse), -8, 7);
        bytes[i % half] |= (byte) (i < half ? element : element << 4);
      }
    }
    MemorySegment.copy(bytes, 0, table, ValueLayout.JAVA_BYTE, at + groups, half);
  }

  private static float largest(float[] row, int from, int to) {
    float largest = 0;
    for (int i = from; i < to; i++) {
      largest = Math.max(largest, Math.abs(row[i]));
    }
    return largest;
  }

  /** Centroids, and the half squares that their scores start from. */
  private static final class Centroids {
    final float[][] rows;
    final float[] biases;

    Centroids(float[][] rows) {
      this.rows = rows;
      biases = new float[rows.length];
      for (int c = 0; c < rows.length; c++) {
        float square = 0;
        for (float x : rows[c]) {
          square = Math.fma(x, x, square);
        }
        biases[c] = -0.5f * square;
      }
    }

    /** The one with the largest score, the lower among equals. */
    int nearest(float[] row) {
      int best = 0;
      float most = Float.NEGATIVE_INFINITY;
      for (int c = 0; c < rows.length; c++) {
        float score = biases[c];
        for (int i = 0; i < row.length; i++) {
          score = Math.fma(row[i], rows[c][i], score);
        }
        if (score > most) {
          most = score;
          best = c;
        }
      }
      return best;
    }
  }

  /** Clusters a segment. */
  void build(int from, int to, Rows keyRows, Rows values) {
    int first = from * ofChunk;
    int n = (to - from) * ofChunk;
    int k = format.clusters(layout, to - from);
    if (from == 0 && format.comparesValues()) {
      float[] mean = startingMean(k, n, first, keyRows);
      base(
          0,
          ClusterFormat.valueWeight(
              differences(k, n, first, keyRows, mean),
              differences(k, n, first, values, startingMean(k, n, first, values))));
      for (int i = 1; i < format.baseFloats(layout); i++) {
        base(i, mean[i - 1]);
      }
    }
    float[][] all = new float[n][];
    Arrays.setAll(all, t -> row(keyRows.of(first + t), () -> values.of(first + t)));
    Rows rows = token -> all[token - first];
    int firstCluster = format.clusters(layout, from);
    float[][] centroids = new float[k][];
    for (int j = 0; j < k; j++) {
      centroids[j] = rows.of(first + start(j, n, k));
    }
    int[] of = new int[n];
    for (int round = 0; round < ClusterFormat.ROUNDS; round++) {
      Centroids before = new Centroids(centroids);
      Arrays.setAll(of, t -> before.nearest(all[t]));
      float[][] means = means(of, k, first, rows);
      for (int j = 0; j < k; j++) {
        centroids[j] = sizeIn(of, j) == 0 ? centroids[j] : means[j];
      }
    }
    float[][] meanValues = means(of, k, first, values);
    for (int j = 0; j < k; j++) {
      store(firstCluster + j, Arrays.copyOf(centroids[j], layout.headDim()), meanValues[j]);
      size(firstCluster + j, sizeIn(of, j));
    }
    for (int t = 0; t < n; t++) {
      clusterOf(first + t, firstCluster + of[t]);
    }
    clustered(to);
  }

  private static int sizeIn(int[] of, int cluster) {
    int size = 0;
    for (int c : of) {
      size += c == cluster ? 1 : 0;
    }
    return size;
  }

  private float[][] means(int[] of, int k, int first, Rows rows) {
    float[][] means = new float[k][rows.of(first).length];
    int[] sizes = new int[k];
    for (int t = 0; t < of.length; t++) {
      float[] row = rows.of(first + t);
      sizes[of[t]]++;
      for (int i = 0; i < row.length; i++) {
        means[of[t]][i] += row[i];
      }
    }
    for (int j = 0; j < k; j++) {
      for (int i = 0; i < means[j].length; i++) {
        means[j][i] = sizes[j] == 0 ? 0 : means[j][i] / sizes[j];
      }
    }
    return means;
  }

  /** Takes a chunk in, unless it is not the next one. */
  void join(int chunk, Rows keys, Rows values) {
    if (clustered() != chunk) {
      return;
    }
    int tokens = ofChunk;
    int first = chunk * tokens;
    int existing = count();
    boolean opens = chunk * layout.grid().chunk() % format.tokens() == 0;
    if (chunk == 0 && format.comparesValues()) {
      for (int i = 0; i < format.baseFloats(layout); i++) {
        base(i, 0);
      }
    }
    float[][] centroids = new float[existing][];
    for (int j = 0; j < existing; j++) {
      int cluster = j;
      centroids[j] = row(centroid(j), () -> value(cluster));
    }
    Centroids before = new Centroids(centroids);
    for (int t = 0; t < tokens; t++) {
      boolean alone = t == 0 && opens;
      int token = first + t;
      // The first chunk of all opens the only cluster there is.
      boolean only = existing == 0;
      clusterOf(
          first + t,
          alone || only ? existing : before.nearest(row(keys.of(token), () -> values.of(token))));
    }
    if (opens) {
      size(existing, 0);
    }
    for (int t = 0; t < tokens; t++) {
      int cluster = clusterOf(first + t);
      int size = size(cluster);
      store(
          cluster,
          joined(size == 0 ? null : centroid(cluster), keys.of(first + t), size),
          joined(size == 0 ? null : value(cluster), values.of(first + t), size));
      size(cluster, size + 1);
    }
    clustered(chunk + 1);
  }

  private static float[] joined(float @Nullable [] row, float[] x, int n) {
    float[] out = x.clone();
    for (int i = 0; row != null && i < out.length; i++) {
      out[i] = row[i] + (x[i] - row[i]) / (n + 1);
    }
    return out;
  }
}

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
  private final MemorySegment weights;
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
    weights = ReferenceMemory.memory(clusters.valueWeights());
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

  private float weight() {
    return weights.getAtIndex(ValueLayout.JAVA_FLOAT, cell);
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

  /** How much the rows of the tokens from which centroids start differ from their mean. */
  private float differences(int k, int n, int first, Rows rows) {
    float all = 0;
    for (int i = 0; i < layout.headDim(); i++) {
      float mean = 0;
      for (int j = 0; j < k; j++) {
        mean += rows.of(first + start(j, n, k))[i];
      }
      mean /= k;
      float squares = 0;
      for (int j = 0; j < k; j++) {
        float from = rows.of(first + start(j, n, k))[i] - mean;
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
    return table.get(ValueLayout.JAVA_INT_UNALIGNED, at(cluster) + ClusterFormat.SIZE_OFFSET);
  }

  private void size(int cluster, int tokens) {
    table.set(ValueLayout.JAVA_INT_UNALIGNED, at(cluster) + ClusterFormat.SIZE_OFFSET, tokens);
  }

  float[] centroid(int cluster) {
    return stored(at(cluster), ClusterFormat.CENTROID_STEP_OFFSET, ClusterFormat.CENTROID_OFFSET);
  }

  float[] value(int cluster) {
    if (!format.estimates()) {
      return centroid(cluster); // nobody reads it
    }
    return stored(at(cluster), ClusterFormat.VALUE_STEP_OFFSET, format.valueOffset(layout));
  }

  private float[] stored(long at, int stepAt, int elementsAt) {
    float step = table.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + stepAt);
    float[] row = new float[layout.headDim()];
    for (int i = 0; i < row.length; i++) {
      row[i] = step * table.get(ValueLayout.JAVA_BYTE, at + elementsAt + i);
    }
    return row;
  }

  private void store(int cluster, float[] centroid, float[] value) {
    store(at(cluster), ClusterFormat.CENTROID_STEP_OFFSET, ClusterFormat.CENTROID_OFFSET, centroid);
    if (format.estimates()) {
      store(at(cluster), ClusterFormat.VALUE_STEP_OFFSET, format.valueOffset(layout), value);
    }
  }

  private void store(long at, int stepAt, int elementsAt, float[] row) {
    float largest = 0;
    for (float x : row) {
      largest = Math.max(largest, Math.abs(x));
    }
    boolean vanishes = largest < TwoBitSummary.SMALLEST_KEY;
    float step = vanishes ? 0 : largest / ClusterFormat.LARGEST;
    float inverse = vanishes ? 0 : ClusterFormat.LARGEST / largest;
    table.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + stepAt, step);
    for (int i = 0; i < row.length; i++) {
      int code = (int) Math.rint(row[i] * inverse);
      table.set(
          ValueLayout.JAVA_BYTE,
          at + elementsAt + i,
          (byte) Math.clamp(code, -ClusterFormat.LARGEST, ClusterFormat.LARGEST));
    }
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
      float weight =
          ClusterFormat.valueWeight(
              differences(k, n, first, keyRows), differences(k, n, first, values));
      weights.setAtIndex(ValueLayout.JAVA_FLOAT, cell, weight);
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
      weights.setAtIndex(ValueLayout.JAVA_FLOAT, cell, 0);
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

package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.policy.Choosing;
import dev.kvdrive.kv.policy.Policy;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.PolicyShape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Published policies choose what their papers say, computed here from the keys themselves, in the
 * papers' terms and in double precision.
 */
public abstract class PaperConformance extends DeviceConformance {
  /** Values by which a paper ranks the chunks of a KV head. */
  interface Paper {
    /**
     * The chunks in the order in which the paper takes them, as a value each: higher goes first.
     *
     * @param keys {@code [chunk][token][element]}
     * @param queries {@code [group][element]}, scaled
     * @param budget chunks that are attended
     */
    double[] rank(double[][][] keys, double[][] queries, int budget);
  }

  /** Quest, section 3.2: an upper bound of the page's products, from channel-wise extremes. */
  private static final Paper QUEST =
      (keys, queries, budget) -> {
        double[] rank = new double[keys.length];
        for (int chunk = 0; chunk < keys.length; chunk++) {
          int page = chunk / 2 * 2;
          double best = Double.NEGATIVE_INFINITY;
          for (double[] q : queries) {
            double bound = 0;
            for (int d = 0; d < q.length; d++) {
              double low = Double.POSITIVE_INFINITY;
              double high = Double.NEGATIVE_INFINITY;
              for (int c = page; c < Math.min(page + 2, keys.length); c++) {
                for (double[] key : keys[c]) {
                  low = Math.min(low, key[d]);
                  high = Math.max(high, key[d]);
                }
              }
              bound += Math.max(q[d] * low, q[d] * high);
            }
            best = Math.max(best, bound);
          }
          rank[chunk] = best;
        }
        return rank;
      };

  /** KVDrive: the share of attention that a mean key gets. */
  private static final Paper KVDRIVE =
      (keys, queries, budget) -> {
        double[] rank = new double[keys.length];
        Arrays.fill(rank, Double.NEGATIVE_INFINITY);
        for (double[] q : queries) {
          double[] products = new double[keys.length];
          Arrays.setAll(products, c -> dot(q, mean(keys[c])));
          double all = Arrays.stream(products).map(Math::exp).sum();
          for (int c = 0; c < keys.length; c++) {
            rank[c] = Math.max(rank[c], products[c] - Math.log(all));
          }
        }
        return rank;
      };

  /** ShadowKV, algorithms 1 and 2: landmarks, and outliers by their lowest cosine. */
  private static final Paper SHADOWKV =
      (keys, queries, budget) -> {
        double[] rank = KVDRIVE.rank(keys, queries, budget);
        double[] cosine = new double[keys.length];
        for (int c = 0; c < keys.length; c++) {
          double[] landmark = mean(keys[c]);
          cosine[c] =
              Arrays.stream(keys[c])
                  .mapToDouble(
                      key ->
                          dot(key, landmark) / Math.sqrt(dot(key, key) * dot(landmark, landmark)))
                  .min()
                  .orElseThrow();
        }
        // 24 outliers to 128 others.
        int outliers = budget * 24 / (128 + 24);
        IntStream.range(0, keys.length)
            .boxed()
            .sorted(Comparator.comparingDouble(c -> cosine[c]))
            .limit(outliers)
            .forEach(c -> rank[c] = Double.POSITIVE_INFINITY);
        return rank;
      };

  record Case(PolicyShape shape, Paper paper, LayerSizes sizes) {
    @Override
    public String toString() {
      return shape.name() + ", " + sizes;
    }
  }

  static List<Case> cases() {
    List<LayerSizes> sizes = List.of(LayerSizes.groups().get(3), LayerSizes.groups().get(4));
    return sizes.stream()
        .flatMap(
            s ->
                Stream.of(
                    new Case(PolicyShape.QUEST, QUEST, s),
                    new Case(PolicyShape.SHADOWKV, SHADOWKV, s),
                    new Case(PolicyShape.KVDRIVE_PAPER_FLAT, KVDRIVE, s)))
        .map(c -> new Case(c.shape(), c.paper(), c.sizes().withFormat(c.shape().summary())))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void aPolicyChoosesWhatItsPaperSays(Case of) {
    LayerSizes sizes = of.sizes();
    int[] budgets = {24, 3, 0, 1, 0, 40, 7, 1, 0, 19};
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 33);
    for (int row = 0; row < budgets.length; row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), budgets[row]);
      }
    }
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    choose(of.shape(), layer);
    LayerResults results = layer.results();
    // What the device may err by: sums, and in BF16 the rounding of a mean.
    double error = 4 * contents.scoreError();
    error *= sizes.type() == KvType.BF16 ? 1 + 0x1p-8 / SUMMATION : 1;
    for (int row = 0; row < budgets.length; row++) {
      for (int head = 0; head < sizes.kvHeads() && SelectConformance.chunks(row) > 0; head++) {
        double[] rank =
            of.paper().rank(keys(contents, row, head), queries(contents, row, head), budgets[row]);
        assertChosen(row, head, results.selected(row, head), budgets[row], rank, error);
      }
    }
  }

  private void choose(PolicyShape shape, LayerOnDevice layer) {
    Policy.of(shape)
        .choose(
            new Choosing(
                subject.ops.index(),
                subject.queue,
                layer.step(),
                layer.sizes.shape(),
                layer.query.view(),
                layer.selection));
  }

  /** Asserts that as many chunks as there may be were chosen, and none ranks higher. */
  private static void assertChosen(
      int row, int head, int[] chosen, int budget, double[] rank, double error) {
    int count = Math.min(budget, rank.length);
    assertThat(chosen).as("row %d head %d", row, head).hasSize(count).isSorted();
    double lowest = Arrays.stream(chosen).mapToDouble(c -> rank[c]).min().orElse(0);
    double missed =
        IntStream.range(0, rank.length)
            .filter(c -> Arrays.binarySearch(chosen, c) < 0)
            .mapToDouble(c -> rank[c])
            .max()
            .orElse(Double.NEGATIVE_INFINITY);
    assertThat(lowest)
        .as("the least that was chosen in row %d head %d", row, head)
        .isGreaterThanOrEqualTo(missed - (count == 0 ? Double.MAX_VALUE : error));
  }

  static List<LayerSizes> clusteredSizes() {
    return ClusterConformance.sizes();
  }

  /**
   * RetroInfer, section 4: with the clusters that there are, the softmax of centroids' products,
   * added up over the group; a chunk counts by the clusters of its tokens.
   */
  @ParameterizedTest
  @MethodSource("clusteredSizes")
  void retroInferAttendsTheTokensOfTheBestClusters(LayerSizes sizes) {
    int[] budgets = {24, 3, 0, 1, 0, 40, 7, 1, 0, 19};
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 34);
    for (int row = 0; row < budgets.length; row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), budgets[row]);
      }
    }
    LayerOnDevice layer = ClusterConformance.clustered(subject, contents);
    choose(PolicyShape.RETROINFER, layer);
    LayerResults results = layer.results();
    ByteBuffer ids =
        ByteBuffer.wrap(subject.read(layer.layer.index().clustering().clusterOfMember()))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < budgets.length; row++) {
      int closed = SelectConformance.chunks(row);
      for (int head = 0; head < sizes.kvHeads() && closed > 0; head++) {
        int cell = contents.cell(SelectConformance.seat(row), head);
        int[] clusterOf = new int[8 * closed];
        for (int t = 0; t < clusterOf.length; t++) {
          clusterOf[t] = ids.getShort(2 * (8 * cell * sizes.maxChunks() + t));
        }
        double[][] queries = queries(contents, row, head);
        double[] rank = retroInfer(keys(contents, row, head), clusterOf, queries);
        double error = 2 * (rounding(contents, queries) + 4 * contents.productError());
        assertChosen(row, head, results.selected(row, head), budgets[row], rank, error);
      }
    }
  }

  private static double[] retroInfer(double[][][] keys, int[] clusterOf, double[][] queries) {
    int clusters = Arrays.stream(clusterOf).max().orElseThrow() + 1;
    double[][] centroids = new double[clusters][queries[0].length];
    int[] sizes = new int[clusters];
    for (int t = 0; t < clusterOf.length; t++) {
      sizes[clusterOf[t]]++;
      for (int d = 0; d < centroids[0].length; d++) {
        centroids[clusterOf[t]][d] += keys[t / 8][t % 8][d];
      }
    }
    double[] weights = new double[clusters];
    for (double[] q : queries) {
      double[] exps = new double[clusters];
      for (int j = 0; j < clusters; j++) {
        exps[j] = sizes[j] == 0 ? 0 : Math.exp(dot(q, centroids[j]) / sizes[j]);
      }
      double all = Arrays.stream(exps).sum();
      for (int j = 0; j < clusters; j++) {
        weights[j] += exps[j] / all;
      }
    }
    double[] rank = new double[keys.length];
    for (int t = 0; t < clusterOf.length; t++) {
      rank[t / 8] += weights[clusterOf[t]];
    }
    return Arrays.stream(rank).map(Math::log).toArray();
  }

  static List<LayerSizes> centroidSizes() {
    return ClusterConformance.ofChunks();
  }

  /**
   * KVDrive, the hierarchical index: centroids, which are means of representatives, open those that
   * have the largest share by them, and of these the representatives with the largest share are
   * taken.
   */
  @ParameterizedTest
  @MethodSource("centroidSizes")
  void kvDriveTakesTheBestOfWhatItsBestCentroidsOpen(LayerSizes sizes) {
    int[] budgets = {8, 1, 0, 1, 0, 12, 2, 1, 0, 10};
    LayerContents contents = SelectConformance.sequences(sizes, activations(), 35);
    for (int row = 0; row < budgets.length; row++) {
      if (SelectConformance.chunks(row) >= 0) {
        contents.row(row, SelectConformance.seat(row), budgets[row]);
      }
    }
    LayerOnDevice layer = ClusterConformance.clustered(subject, contents);
    choose(PolicyShape.KVDRIVE_PAPER, layer);
    LayerResults results = layer.results();
    float[] scores = subject.readFloats(layer.selection.scores());
    ByteBuffer ids =
        ByteBuffer.wrap(subject.read(layer.layer.index().clustering().clusterOfMember()))
            .order(ByteOrder.LITTLE_ENDIAN);
    double error = 4 * contents.productError();
    error *= sizes.type() == KvType.BF16 ? 1 + 0x1p-8 / SUMMATION : 1;
    for (int row = 0; row < budgets.length; row++) {
      int closed = SelectConformance.chunks(row);
      int budget = budgets[row];
      for (int head = 0; head < sizes.kvHeads() && budget < closed; head++) {
        double[][][] keys = keys(contents, row, head);
        double[][] queries = queries(contents, row, head);
        int cell = contents.cell(SelectConformance.seat(row), head);
        int[] clusterOf = new int[closed];
        for (int c = 0; c < closed; c++) {
          clusterOf[c] = ids.getShort(2 * (cell * sizes.maxChunks() + c));
        }
        int[] used = Arrays.stream(clusterOf).sorted().distinct().toArray(); // some may be empty
        Arrays.setAll(clusterOf, c -> Arrays.binarySearch(used, clusterOf[c]));
        int from = (row * sizes.kvHeads() + head) * sizes.maxChunks();
        int[] open =
            IntStream.range(0, closed)
                .filter(c -> scores[from + c] > Float.NEGATIVE_INFINITY)
                .toArray();
        // What is open has the best centroids: as many chunks as there are in them, no more.
        double[] centroids = KVDRIVE.rank(centroids(keys, clusterOf), queries, 0);
        double[] rankOfCentroid = Arrays.stream(clusterOf).mapToDouble(j -> centroids[j]).toArray();
        int least = Math.min(closed, 4 * budget);
        assertThat(open.length)
            .as("open in row %d head %d", row, head)
            .isGreaterThanOrEqualTo(least);
        double rounding = rounding(contents, queries);
        assertChosen(row, head, open, open.length, rankOfCentroid, 2 * (rounding + error));
        double worst = Arrays.stream(open).mapToDouble(c -> rankOfCentroid[c]).min().orElse(0);
        assertThat(
                Arrays.stream(open).filter(c -> rankOfCentroid[c] > worst + 4 * rounding).count())
            .as("open without the worst centroid in row %d head %d", row, head)
            .isLessThanOrEqualTo(least);
        double[][][] opened = new double[open.length][][];
        Arrays.setAll(opened, i -> keys[open[i]]);
        double[] ranks = KVDRIVE.rank(opened, queries, budget);
        int[] chosen =
            Arrays.stream(results.selected(row, head))
                .map(c -> Arrays.binarySearch(open, c))
                .toArray();
        assertChosen(row, head, chosen, budget, ranks, error);
      }
    }
  }

  /** The clusters of chunks as if each were a chunk of one key. */
  private static double[][][] centroids(double[][][] keys, int[] clusterOf) {
    int clusters = Arrays.stream(clusterOf).max().orElse(-1) + 1;
    double[][][] centroids = new double[clusters][1][];
    for (int j = 0; j < clusters; j++) {
      int cluster = j;
      double[][] means =
          IntStream.range(0, keys.length)
              .filter(c -> clusterOf[c] == cluster)
              .mapToObj(c -> mean(keys[c]))
              .toArray(double[][]::new);
      centroids[j][0] = mean(means);
    }
    return centroids;
  }

  /** What a product with a centroid errs by, half a step of 8 bits in each element. */
  private static double rounding(LayerContents contents, double[][] queries) {
    return Arrays.stream(queries)
            .mapToDouble(q -> Arrays.stream(q).map(Math::abs).sum())
            .max()
            .orElseThrow()
        * largest(contents)
        / 254;
  }

  private static double largest(LayerContents contents) {
    double largest = 0;
    for (float[][] seat : contents.keys) {
      for (float[] keys : seat) {
        for (float key : keys) {
          largest = Math.max(largest, Math.abs(key));
        }
      }
    }
    return largest;
  }

  private static double[][][] keys(LayerContents contents, int row, int head) {
    int dim = contents.sizes.headDim();
    float[] all = contents.keys[SelectConformance.seat(row)][head];
    double[][][] keys = new double[SelectConformance.chunks(row)][8][dim];
    for (int c = 0; c < keys.length; c++) {
      for (int t = 0; t < 8; t++) {
        for (int d = 0; d < dim; d++) {
          keys[c][t][d] = all[(LayerSizes.GRID.firstToken(c) + t) * dim + d];
        }
      }
    }
    return keys;
  }

  private static double[][] queries(LayerContents contents, int row, int head) {
    LayerSizes sizes = contents.sizes;
    double[][] queries = new double[sizes.group()][sizes.headDim()];
    for (int g = 0; g < queries.length; g++) {
      for (int d = 0; d < sizes.headDim(); d++) {
        int at = (row * sizes.heads() + head * sizes.group() + g) * sizes.headDim() + d;
        queries[g][d] = contents.query[at] * sizes.shape().scale();
      }
    }
    return queries;
  }

  private static double[] mean(double[][] keys) {
    double[] mean = new double[keys[0].length];
    for (double[] key : keys) {
      for (int d = 0; d < mean.length; d++) {
        mean[d] += key[d] / keys.length;
      }
    }
    return mean;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int d = 0; d < a.length; d++) {
      sum += a[d] * b[d];
    }
    return sum;
  }
}

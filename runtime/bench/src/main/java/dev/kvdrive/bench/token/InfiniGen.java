package dev.kvdrive.bench.token;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.EigenDecomposition_F64;

/**
 * InfiniGen (Lee et al., OSDI 2024). What a layer attends is chosen before it computes: its queries
 * are speculated from the layer before, and only some of their elements are looked at. Queries and
 * keys of a head are rotated (skewed) by the right singular vectors of its queries, which leaves
 * their products as they are; of the rotated elements the 30 % are kept that have the largest sums
 * of magnitudes in queries and keys. Tokens whose score is at most alpha = 4 below the largest are
 * attended, as many as on average over heads, and no more than the budget, which the paper has at
 * 20 %.
 *
 * <p>What is different here: the rotation is that of the prompt's own last queries, not of a sample
 * text's; queries are speculated from the residual stream behind the attention of the layer before,
 * not from that layer's input, as this engine predicts them for its prefetch, which is rather
 * nearer to the truth; the average is over the query heads of a group, not of a layer; no token is
 * thrown away for want of host memory. The first layer, before which there is none, chooses by its
 * own queries.
 */
public final class InfiniGen implements TokenMethod {
  private static final double PARTIAL = 0.3;
  private static final double ALPHA = 4;
  private static final int QUERIES = 256;

  @Override
  public String word() {
    return "infinigen";
  }

  @Override
  public double indexBytes(int headDim) {
    return 2.0 * kept(headDim);
  }

  @Override
  public int queries() {
    return QUERIES;
  }

  @Override
  public boolean speculates() {
    return true;
  }

  private static int kept(int headDim) {
    return (int) Math.round(PARTIAL * headDim);
  }

  @Override
  public TokenIndex index(ClosedTokens of) {
    int width = of.keys().width();
    float[][] axes = axes(of.queries(), width);
    float[][] keys = new float[of.keys().count()][];
    double[] magnitude = new double[width];
    for (float[] query : of.queries()) {
      add(magnitude, rotated(query, axes));
    }
    for (int t = 0; t < keys.length; t++) {
      keys[t] = rotated(of.keys().row(t), axes);
      add(magnitude, keys[t]);
    }
    int[] columns = Arrays.copyOf(Ranking.descending(magnitude), kept(width));
    float[][] axesKept = Arrays.stream(columns).mapToObj(c -> axes[c]).toArray(float[][]::new);
    float[][] partial = new float[keys.length][];
    for (int t = 0; t < keys.length; t++) {
      partial[t] = new float[columns.length];
      for (int i = 0; i < columns.length; i++) {
        partial[t][i] = keys[t][columns[i]];
      }
    }
    return (queries, budget) ->
        TokenIndex.same(queries, choose(partial, axesKept, queries, of.scale(), budget));
  }

  private static void add(double[] magnitude, float[] row) {
    for (int i = 0; i < row.length; i++) {
      magnitude[i] += Math.abs(row[i]);
    }
  }

  private static float[] rotated(float[] vector, float[][] axes) {
    float[] out = new float[axes.length];
    for (int i = 0; i < out.length; i++) {
      for (int j = 0; j < vector.length; j++) {
        out[i] += axes[i][j] * vector[j];
      }
    }
    return out;
  }

  /** Right singular vectors of the queries, as rows. */
  private static float[][] axes(float[][] queries, int width) {
    DMatrixRMaj moment = new DMatrixRMaj(width, width);
    for (float[] query : queries) {
      for (int i = 0; i < width; i++) {
        for (int j = 0; j < width; j++) {
          moment.add(i, j, (double) query[i] * query[j]);
        }
      }
    }
    EigenDecomposition_F64<DMatrixRMaj> eigen = DecompositionFactory_DDRM.eig(width, true, true);
    if (!eigen.decompose(moment)) {
      throw new IllegalStateException(
          "the queries of a prompt have no singular vectors; are there values that are no numbers?");
    }
    return IntStream.range(0, width)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -eigen.getEigenvalue(i).getReal()))
        .map(
            i -> {
              DMatrixRMaj vector = eigen.getEigenVector(i);
              float[] axis = new float[width];
              for (int j = 0; j < width; j++) {
                axis[j] = (float) vector.get(j);
              }
              return axis;
            })
        .toArray(float[][]::new);
  }

  private static TokenIndex.Attended choose(
      float[][] keys, float[][] axes, float[][] queries, float scale, int budget) {
    double[] below = new double[keys.length];
    Arrays.fill(below, Double.NEGATIVE_INFINITY);
    long within = 0;
    for (float[] query : queries) {
      float[] partial = rotated(query, axes);
      double[] scores = new double[keys.length];
      double most = Double.NEGATIVE_INFINITY;
      for (int t = 0; t < keys.length; t++) {
        double sum = 0;
        for (int i = 0; i < partial.length; i++) {
          sum += partial[i] * keys[t][i];
        }
        scores[t] = scale * sum;
        most = Math.max(most, scores[t]);
      }
      for (int t = 0; t < keys.length; t++) {
        below[t] = Math.max(below[t], scores[t] - most);
        within += scores[t] > most - ALPHA ? 1 : 0;
      }
    }
    int count = (int) Math.min(budget, Math.round((double) within / queries.length));
    return new TokenIndex.Attended(
        Arrays.copyOf(Ranking.descending(below), Math.min(count, keys.length)), List.of());
  }
}

package dev.kvdrive.bench.calibrate;

import dev.kvdrive.kv.index.KeyTransform;
import java.util.Comparator;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.EigenDecomposition_F64;

/** From moments to the transform whose coding error weighs least on products with queries. */
final class TransformFit {
  /**
   * Ridge on the queries' second moment, in its mean eigenvalue: directions in which no query of
   * the calibration looked are not free.
   */
  private static final double RIDGE = 0.1;

  /** Variances are at least this: an element that never varies has a code nevertheless. */
  private static final double LEAST = 1e-12;

  private TransformFit() {}

  static KeyTransform fit(Moments moments) {
    int width = moments.width();
    DMatrixRMaj queries = new DMatrixRMaj(width, width, true, moments.querySecondMoment());
    double ridge = RIDGE * CommonOps_DDRM.trace(queries) / width;
    for (int i = 0; i < width; i++) {
      // Without any query every direction counts alike.
      queries.add(i, i, ridge > 0 ? ridge : 1);
    }
    Axes axes = Axes.of(queries);
    DMatrixRMaj root = axes.scaled(Math::sqrt);
    DMatrixRMaj unroot = axes.scaled(value -> 1 / Math.sqrt(value));
    DMatrixRMaj keys = new DMatrixRMaj(width, width, true, moments.keyCovariance());
    Axes principal = Axes.of(product(root, product(keys, root)));
    DMatrixRMaj forward = new DMatrixRMaj(width, width);
    CommonOps_DDRM.multTransA(principal.vectors(), root, forward);
    float[] deviation = new float[width];
    for (int i = 0; i < width; i++) {
      deviation[i] = (float) Math.sqrt(Math.max(principal.values()[i], LEAST));
    }
    return new KeyTransform(
        moments.meanKey(),
        floats(forward),
        floats(product(unroot, principal.vectors())),
        deviation);
  }

  private static DMatrixRMaj product(DMatrixRMaj a, DMatrixRMaj b) {
    DMatrixRMaj c = new DMatrixRMaj(a.numRows, b.numCols);
    CommonOps_DDRM.mult(a, b, c);
    return c;
  }

  private static float[] floats(DMatrixRMaj matrix) {
    float[] rows = new float[matrix.getNumElements()];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = (float) matrix.get(i);
    }
    return rows;
  }

  /** Eigenvalues of a symmetric matrix, descending, and their vectors as columns. */
  @SuppressWarnings("ArrayRecordComponent") // between two methods of this class
  private record Axes(double[] values, DMatrixRMaj vectors) {
    static Axes of(DMatrixRMaj symmetric) {
      int width = symmetric.numRows;
      EigenDecomposition_F64<DMatrixRMaj> eigen = DecompositionFactory_DDRM.eig(width, true, true);
      if (!eigen.decompose(symmetric.copy())) {
        throw new IllegalStateException(
            "the moments of %d elements have no eigenvalues; are there values that are no numbers?"
                .formatted(width));
      }
      int[] order =
          IntStream.range(0, width)
              .boxed()
              .sorted(Comparator.comparingDouble((Integer i) -> -eigen.getEigenvalue(i).getReal()))
              .mapToInt(Integer::intValue)
              .toArray();
      double[] values = new double[width];
      DMatrixRMaj vectors = new DMatrixRMaj(width, width);
      for (int i = 0; i < width; i++) {
        values[i] = eigen.getEigenvalue(order[i]).getReal();
        CommonOps_DDRM.insert(eigen.getEigenVector(order[i]), vectors, 0, i);
      }
      return new Axes(values, vectors);
    }

    /** The matrix with a function of each eigenvalue in its place. */
    DMatrixRMaj scaled(DoubleUnaryOperator of) {
      DMatrixRMaj stretched = vectors.copy();
      for (int column = 0; column < values.length; column++) {
        double factor = of.applyAsDouble(values[column]);
        for (int row = 0; row < values.length; row++) {
          stretched.set(row, column, factor * stretched.get(row, column));
        }
      }
      DMatrixRMaj all = new DMatrixRMaj(values.length, values.length);
      CommonOps_DDRM.multTransB(stretched, vectors, all);
      return all;
    }
  }
}

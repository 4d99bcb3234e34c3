package dev.kvdrive.bench.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.kvdrive.kv.index.BitPlanes;
import dev.kvdrive.kv.index.KeyTransform;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What a fitted transform is good for: products of queries with keys, out of few bits. */
class TransformFitTest {
  private static final int WIDTH = 64;
  private static final int ROWS = 4000;

  private final Random random = new Random(7);

  /** Rows of a normal distribution whose deviation falls along axes that are not the elements. */
  private float[][] rows(double fall, float shift) {
    double[][] axes = new double[WIDTH][WIDTH];
    for (double[] axis : axes) {
      for (int i = 0; i < WIDTH; i++) {
        axis[i] = random.nextGaussian() / Math.sqrt(WIDTH);
      }
    }
    float[][] rows = new float[ROWS][WIDTH];
    for (float[] row : rows) {
      for (int a = 0; a < WIDTH; a++) {
        double along = random.nextGaussian() * 3 * Math.exp(-fall * a);
        for (int i = 0; i < WIDTH; i++) {
          row[i] += (float) (along * axes[a][i]);
        }
      }
      for (int i = 0; i < WIDTH; i++) {
        row[i] += shift;
      }
    }
    return rows;
  }

  private static Moments moments(float[][] keys, float[][] queries) {
    Moments moments = new Moments(WIDTH);
    for (float[] key : keys) {
      moments.addKey(key, 0);
    }
    for (float[] query : queries) {
      moments.addQuery(query, 0, 1);
    }
    return moments;
  }

  private static float[] times(float[] matrix, float[] vector, boolean transposed) {
    float[] out = new float[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      for (int j = 0; j < WIDTH; j++) {
        out[i] += matrix[transposed ? j * WIDTH + i : i * WIDTH + j] * vector[j];
      }
    }
    return out;
  }

  private static float[] minus(float[] a, float[] b) {
    float[] out = new float[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      out[i] = a[i] - b[i];
    }
    return out;
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < WIDTH; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }

  @Test
  void productsStayWhatTheyAre() {
    float[][] keys = rows(0.05, 2);
    float[][] queries = rows(0.1, 0);
    KeyTransform fit = TransformFit.fit(moments(keys, queries));
    for (int i = 0; i < 20; i++) {
      float[] z = times(fit.forward(), minus(keys[i], fit.mean()), false);
      float[] v = times(fit.backward(), queries[i], true);
      double exact = dot(queries[i], keys[i]);
      assertThat(dot(queries[i], fit.mean()) + dot(v, z)).isCloseTo(exact, within(0.01));
    }
  }

  @Test
  void elementsComeInOrderOfTheirDeviationWhichIsThatOfTheKeys() {
    float[][] keys = rows(0.05, 2);
    KeyTransform fit = TransformFit.fit(moments(keys, rows(0.1, 0)));
    double[] squares = new double[WIDTH];
    for (float[] key : keys) {
      float[] z = times(fit.forward(), minus(key, fit.mean()), false);
      for (int i = 0; i < WIDTH; i++) {
        squares[i] += (double) z[i] * z[i] / ROWS;
      }
    }
    for (int i = 0; i < WIDTH; i++) {
      assertThat(Math.sqrt(squares[i])).isCloseTo(fit.deviation()[i], within(0.02));
      if (i > 0) {
        assertThat(fit.deviation()[i]).isLessThanOrEqualTo(fit.deviation()[i - 1]);
      }
    }
  }

  /** Error of the products of coded keys, as a share of their deviation. */
  private static double error(KeyTransform transform, int bits, float[][] keys, float[][] queries) {
    BitPlanes planes = BitPlanes.allocate(transform, bits);
    int[] code = new int[planes.words()];
    double wrong = 0;
    double all = 0;
    for (int i = 0; i < ROWS; i++) {
      float[] z = times(transform.forward(), minus(keys[i], transform.mean()), false);
      planes.encode(z, code, 0);
      float[] coded = planes.decode(code, 0, WIDTH);
      float[] v = times(transform.backward(), queries[i], true);
      double product = dot(v, z);
      double error = dot(v, coded) - product;
      wrong += error * error;
      all += product * product;
    }
    return Math.sqrt(wrong / all);
  }

  @Test
  void aFitNeedsHalfTheBitsOfElementsAsTheyAre() {
    float[][] keys = rows(0.05, 0);
    float[][] queries = rows(0.1, 0);
    KeyTransform fit = TransformFit.fit(moments(keys, queries));
    KeyTransform plain = TransformFit.fit(independent(keys));
    assertThat(error(fit, 64, keys, queries)).isLessThan(error(plain, 128, keys, queries));
    assertThat(error(fit, 192, keys, queries)).isLessThan(error(fit, 128, keys, queries));
  }

  /** Moments of keys whose elements have the same variances and nothing to do with each other. */
  private static Moments independent(float[][] keys) {
    Moments moments = new Moments(WIDTH);
    for (int i = 0; i < WIDTH; i++) {
      double variance = 0;
      for (float[] key : keys) {
        variance += (double) key[i] * key[i] / keys.length;
      }
      float[] one = new float[WIDTH];
      one[i] = (float) Math.sqrt(WIDTH * variance);
      moments.addKey(one, 0);
      one[i] = -one[i];
      moments.addKey(one, 0);
    }
    return moments;
  }
}

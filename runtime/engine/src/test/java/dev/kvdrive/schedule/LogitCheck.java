package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.model.Golden;
import java.util.Arrays;

/**
 * Compares the logits of a device with exact ones, row by row and then as a whole; how near they
 * must be depends on the type of its activations.
 *
 * <p>F32: the largest error of every row is below {@link Golden#TOLERANCE} of its largest logit.
 *
 * <p>BF16: every value that one operation hands to the next, and every matrix, is rounded to 8
 * bits, by at most 2^-8 of itself. On its way to a logit a value goes through {@value
 * #LAYER_ROUNDINGS} of them in a layer (four matrices; two norms, projections, bias or head norm,
 * rotation, attention output, gate and up, their product, two sums of the residual stream) and
 * {@value #OTHER_ROUNDINGS} outside (embedding and its matrix, last norm, the output's matrix). If
 * they are independent and each passes on its share of the logits, the error is about the square
 * root of their number times 2^-8 of the largest logit; if all push in one direction it is their
 * number times 2^-8. So
 *
 * <ul>
 *   <li>the mean over all rows of the error (root mean square over the vocabulary) is below the
 *       first;
 *   <li>the largest error of every row is below {@value #AMPLIFICATION} times the second, since
 *       where attention is sharp or parts of the residual stream cancel, an early rounding passes
 *       on more than its share;
 *   <li>the likeliest token is the exact one in {@value #AGREEMENT} of the rows where it leads by
 *       more than the first.
 * </ul>
 *
 * The scalar reference with the same rounding has, over the goldens and the long sequences, at most
 * 0.X of the first, 0.73 of the second, and Y; F32 devices must do without any of that.
 */
final class LogitCheck {
  private static final int LAYER_ROUNDINGS = 16;
  private static final int OTHER_ROUNDINGS = 4;
  private static final double AMPLIFICATION = 2;
  private static final double AGREEMENT = 0.9;

  private final boolean narrow;
  private final double typical;
  private final double summed;
  private final double largest;
  private int rows;
  private double errors;
  private int leads;
  private int kept;

  /** Of a device that runs a model of {@code layers} layers. */
  LogitCheck(Device device, int layers) {
    narrow = device.activationType() == ElementType.BF16;
    int roundings = OTHER_ROUNDINGS + layers * LAYER_ROUNDINGS;
    typical = Math.sqrt(roundings) * 0x1p-8;
    summed = roundings * 0x1p-8;
    largest = narrow ? AMPLIFICATION * summed : Golden.TOLERANCE;
  }

  /** Largest error of a logit, relative to the largest logit of its row. */
  double largest() {
    return largest;
  }

  /**
   * Largest error of a log-probability of a row of logits. In BF16 it is that of its own logit,
   * every rounding in one direction; the error of the sum is an average over the vocabulary, and
   * small beside it. The scalar reference has at most 0.45 of it.
   */
  double logprobError(double[] exact) {
    return narrow ? summed * Arrays.stream(exact).map(Math::abs).max().orElseThrow() : 0.02;
  }

  /** Checks a row. */
  void row(String what, double[] exact, float[] actual) {
    assertThat(actual).as(what).hasSameSizeAs(exact);
    double scale = Arrays.stream(exact).map(Math::abs).max().orElseThrow();
    double most = 0;
    double squares = 0;
    for (int i = 0; i < exact.length; i++) {
      double error = Math.abs(exact[i] - actual[i]) / scale;
      // A NaN is no small error, and stays.
      most = Double.isNaN(most) || error <= most ? most : error;
      squares += error * error;
    }
    assertThat(most).as("%s: largest error", what).isLessThan(largest);
    rows++;
    errors += Math.sqrt(squares / exact.length);
    int best = best(exact);
    double lead = Double.POSITIVE_INFINITY;
    int found = 0;
    for (int i = 0; i < exact.length; i++) {
      lead = i == best ? lead : Math.min(lead, exact[best] - exact[i]);
      found = actual[i] > actual[found] ? i : found;
    }
    if (lead > typical * scale) {
      leads++;
      kept += found == best ? 1 : 0;
    }
  }

  private static int best(double[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      best = values[i] > values[best] ? i : best;
    }
    return best;
  }

  /** Checks a row against one that is not exact either. */
  void row(String what, float[] other, float[] actual) {
    double[] wide = new double[other.length];
    Arrays.setAll(wide, i -> other[i]);
    row(what, wide, actual);
  }

  /** Checks the rows so far as a whole. */
  void whole(String what) {
    assertThat(rows).as("%s: rows", what).isPositive();
    if (narrow) {
      assertThat(errors / rows).as("%s: mean error", what).isLessThan(typical);
      assertThat(kept)
          .as("%s: likeliest tokens of %d", what, leads)
          .isGreaterThanOrEqualTo((int) (AGREEMENT * leads));
    }
  }
}

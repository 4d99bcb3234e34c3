package dev.kvdrive.kv.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BitPlanesTest {
  private static final int WIDTH = 64;

  private static KeyTransform falling() {
    float[] deviation = new float[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      deviation[i] = (float) Math.exp(-0.06 * i);
    }
    float[] square = new float[WIDTH * WIDTH];
    return new KeyTransform(new float[WIDTH], square, square, deviation);
  }

  @ParameterizedTest
  @ValueSource(ints = {32, 64, 96, 128, 160, 192})
  void bitsGoToTheElementsThatVaryMost(int bits) {
    BitPlanes planes = BitPlanes.allocate(falling(), bits);
    assertThat(planes.bits()).isEqualTo(bits);
    int[] given = new int[WIDTH];
    for (int element : planes.element()) {
      given[element]++;
    }
    for (int i = 0; i < WIDTH; i++) {
      assertThat(given[i]).isBetween(0, i == 0 ? 3 : given[i - 1]);
    }
    assertThat(planes.element()).isSorted();
  }

  @Test
  void moreBitsAreNearer() {
    double before = Double.MAX_VALUE;
    for (int bits = 32; bits <= 192; bits += 32) {
      double error = error(bits);
      assertThat(error).as("%d bits", bits).isLessThan(before);
      before = error;
    }
    // Three bits of a normal distribution leave 3.7 % of the variance.
    assertThat(before).isLessThan(0.05);
  }

  /** Squared error of coded keys of the transform's deviations, as a share of their squares. */
  private static double error(int bits) {
    KeyTransform transform = falling();
    BitPlanes planes = BitPlanes.allocate(transform, bits);
    int[] code = new int[planes.words()];
    Random random = new Random(3);
    double wrong = 0;
    double all = 0;
    for (int n = 0; n < 2000; n++) {
      float[] z = new float[WIDTH];
      for (int i = 0; i < WIDTH; i++) {
        z[i] = (float) random.nextGaussian() * transform.deviation()[i];
      }
      planes.encode(z, code, 0);
      float[] coded = planes.decode(code, 0, WIDTH);
      for (int i = 0; i < WIDTH; i++) {
        wrong += (z[i] - coded[i]) * (double) (z[i] - coded[i]);
        all += (double) z[i] * z[i];
      }
    }
    return wrong / all;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 16, 33, 224, -32})
  void onlyWholeWordsThatTheElementsCanTakeAreGiven(int bits) {
    assertThatThrownBy(() -> BitPlanes.allocate(falling(), bits))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContainingAll("from 32 to 192 bits", "got " + bits);
  }
}

package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Bfloat16;
import java.lang.foreign.Arena;
import java.util.Random;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;

class LanesTest {
  private static final float[] SPECIAL = {
    0f,
    -0f,
    1f,
    -1f,
    Float.MIN_VALUE,
    -Float.MIN_VALUE,
    Float.MIN_NORMAL,
    1e-30f,
    -86.9f,
    -87f,
    -87.1f,
    -1000f,
    87.9f,
    Float.NEGATIVE_INFINITY,
    0.34657f,
    -0.34658f
  };

  @Test
  void theExponentialIsWithinThreeUnitsInTheLastPlace() {
    Random random = new Random(7);
    for (int i = 0; i < 1_000_000; i++) {
      float x = -87 + 174 * random.nextFloat();
      double exact = StrictMath.exp(x);
      assertThat(Math.abs(Lanes.exp(x) - exact)).isLessThanOrEqualTo(3 * Math.ulp((float) exact));
    }
  }

  @Test
  void theExponentialOfWhatIsNotPositiveIsTheSameButForWhatVanishes() {
    Random random = new Random(11);
    float[] x = new float[Lanes.N];
    float[] y = new float[Lanes.N];
    for (int round = 0; round < 20_000; round++) {
      for (int i = 0; i < x.length; i++) {
        x[i] = random.nextInt(8) == 0 ? Float.NEGATIVE_INFINITY : -100 * random.nextFloat();
      }
      Lanes.decay(FloatVector.fromArray(Lanes.F, x, 0)).intoArray(y, 0);
      for (int i = 0; i < x.length; i++) {
        assertThat(y[i]).as("exp(%s)", x[i]).isEqualTo(Lanes.exp(Math.max(x[i], -87f)));
        assertThat(1 + y[i]).as("1 + exp(%s)", x[i]).isEqualTo(1 + Lanes.exp(x[i]));
      }
    }
  }

  @Test
  void theLogarithmIsWithinTwoUnitsInTheLastPlace() {
    Random random = new Random(9);
    float[] x = new float[Lanes.N];
    float[] y = new float[Lanes.N];
    for (int round = 0; round < 100_000; round++) {
      for (int i = 0; i < x.length; i++) {
        // Sums of a few exponentials, neighbours of 1 and of the root of 2, all sizes.
        x[i] =
            switch (random.nextInt(4)) {
              case 0 -> 1 + 7 * random.nextFloat();
              case 1 -> 1 + (float) random.nextGaussian() * 0x1p-12f;
              case 2 -> (float) (Math.sqrt(2) * (1 + random.nextGaussian() * 0x1p-20));
              default -> (float) StrictMath.exp(-87 + 174 * random.nextFloat());
            };
      }
      Lanes.log(FloatVector.fromArray(Lanes.F, x, 0)).intoArray(y, 0);
      for (int i = 0; i < x.length; i++) {
        double exact = StrictMath.log(x[i]);
        assertThat(Math.abs(y[i] - exact))
            .as("log(%s)", x[i])
            .isLessThanOrEqualTo(Math.max(2 * Math.ulp((float) exact), 1e-7));
      }
    }
  }

  @Test
  void vectorsAndSingleNumbersHaveTheSameExponential() {
    Random random = new Random(8);
    float[] x = new float[Lanes.N];
    float[] y = new float[Lanes.N];
    for (int round = 0; round < 20_000; round++) {
      for (int i = 0; i < x.length; i++) {
        x[i] =
            random.nextInt(4) == 0
                ? SPECIAL[random.nextInt(SPECIAL.length)]
                : (float) (40 * random.nextGaussian());
      }
      Lanes.exp(FloatVector.fromArray(Lanes.F, x, 0)).intoArray(y, 0);
      for (int i = 0; i < x.length; i++) {
        assertThat(Float.floatToRawIntBits(y[i]))
            .as("exp(%s)", x[i])
            .isEqualTo(Float.floatToRawIntBits(Lanes.exp(x[i])));
      }
    }
  }

  @Test
  void theExponentialOfMinusInfinityIsZeroAndOfNanNan() {
    assertThat(Lanes.exp(Float.NEGATIVE_INFINITY)).isZero();
    assertThat(Lanes.exp(Float.NaN)).isNaN();
    assertThat(Lanes.exp(0f)).isEqualTo(1f);
  }

  @Test
  void fourSumsAreTheSumsOfEach() {
    Random random = new Random(9);
    for (int round = 0; round < 5_000; round++) {
      FloatVector[] v = new FloatVector[4];
      for (int i = 0; i < 4; i++) {
        float[] lanes = new float[Lanes.N];
        for (int lane = 0; lane < lanes.length; lane++) {
          lanes[lane] = (float) random.nextGaussian();
        }
        v[i] = FloatVector.fromArray(Lanes.F, lanes, 0);
      }
      FloatVector sums = Lanes.sums4(v[0], v[1], v[2], v[3]);
      for (int i = 0; i < 4; i++) {
        assertThat(sums.lane(i)).isEqualTo(Lanes.sum(v[i]));
      }
    }
  }

  @Test
  void roundsToBfloat16LikeTheScalarRule() {
    Random random = new Random(10);
    try (Arena arena = Arena.ofConfined()) {
      long at = arena.allocate(64).address();
      for (int round = 0; round < 20_000; round++) {
        float[] x = new float[Lanes.N];
        for (int i = 0; i < x.length; i++) {
          x[i] = Float.intBitsToFloat(random.nextInt());
        }
        Lanes.storeBfloat16(FloatVector.fromArray(Lanes.F, x, 0), at);
        FloatVector back = Lanes.loadBfloat16(at);
        for (int i = 0; i < x.length; i++) {
          short rounded = Bfloat16.round(x[i]);
          assertThat(Memory.getShort(at + 2L * i)).isEqualTo(rounded);
          assertThat(Float.floatToRawIntBits(back.lane(i)))
              .isEqualTo(Float.floatToRawIntBits(Bfloat16.widen(rounded)));
        }
      }
    }
  }
}

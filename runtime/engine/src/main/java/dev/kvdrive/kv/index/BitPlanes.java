package dev.kvdrive.kv.index;

import dev.kvdrive.plan.BitPlaneSummary;
import java.util.Arrays;

/**
 * How many bits each element of a transformed key has, and what they stand for. An element of
 * deviation {@code sd} with {@code n} bits is {@code sd (c_1 s_1 + ... + c_n s_n)} with signs
 * {@code s_i}: the first is that of the element, each further one that of what the ones before have
 * left. So every allocation is a plain string of bits, and the product of a query with a coded key
 * is a sum over bits, each with a weight that depends on the query only.
 *
 * <p>Bits go where they save most of the expected squared error (reverse water-filling), at most
 * {@link BitPlaneSummary#MOST} to an element; they lie in order of the elements, those of one
 * element together.
 *
 * @param element {@code [bits]} element that the bit belongs to, ascending
 * @param coefficient {@code [bits]} what its sign is multiplied by: {@code sd c_i}
 */
@SuppressWarnings("ArrayRecordComponent") // immutable by contract: nobody writes what is in it
public record BitPlanes(int[] element, float[] coefficient) {
  private static final int MOST = BitPlaneSummary.MOST;
  private static final int WORD = BitPlaneSummary.WORD;

  /** {@code c_i} of an element with 1, 2, 3 bits, for a normal distribution of deviation 1. */
  private static final float[][] LEVELS = {
    {}, {0.7979f}, {0.9816f, 0.5288f}, {1.19f, 0.60f, 0.30f}
  };

  /** Expected squared error of such an element. */
  private static final double[] ERROR = {1, 0.3634, 0.1175, 0.0374};

  /**
   * Allocates {@code bits} bits.
   *
   * @throws IllegalArgumentException if the elements cannot take them, or they are not whole words
   */
  public static BitPlanes allocate(KeyTransform transform, int bits) {
    float[] deviation = transform.deviation();
    BitPlaneSummary format = new BitPlaneSummary(deviation.length, 1, bits); // checks the bits
    int[] given = new int[deviation.length];
    for (int bit = 0; bit < format.bits(); bit++) {
      int best = -1;
      double most = -1;
      for (int i = 0; i < deviation.length; i++) {
        if (given[i] < MOST) {
          double saves =
              (double) deviation[i] * deviation[i] * (ERROR[given[i]] - ERROR[given[i] + 1]);
          if (saves > most) {
            most = saves;
            best = i;
          }
        }
      }
      given[best]++;
    }
    int[] element = new int[bits];
    float[] coefficient = new float[bits];
    int at = 0;
    for (int i = 0; i < deviation.length; i++) {
      for (int level = 0; level < given[i]; level++) {
        element[at] = i;
        coefficient[at++] = deviation[i] * LEVELS[given[i]][level];
      }
    }
    return new BitPlanes(element, coefficient);
  }

  /** Bits of a code. */
  public int bits() {
    return element.length;
  }

  /** 32-bit words of a code. */
  public int words() {
    return element.length / WORD;
  }

  /**
   * The code of a transformed key: bit {@code i} is bit {@code i % 32} of word {@code i / 32}, 1
   * for a positive sign. In F32, one subtraction at a time.
   *
   * @param z {@code [headDim]}
   * @param code {@link #words()} words from {@code at} on, written
   */
  public void encode(float[] z, int[] code, int at) {
    Arrays.fill(code, at, at + words(), 0);
    float left = 0;
    for (int bit = 0; bit < element.length; bit++) {
      if (bit == 0 || element[bit] != element[bit - 1]) {
        left = z[element[bit]];
      }
      boolean positive = left >= 0;
      if (positive) {
        code[at + bit / WORD] |= 1 << bit % WORD;
      }
      left = positive ? left - coefficient[bit] : left + coefficient[bit];
    }
  }

  /** What a code stands for. */
  public float[] decode(int[] code, int at, int width) {
    float[] z = new float[width];
    for (int bit = 0; bit < element.length; bit++) {
      boolean positive = (code[at + bit / WORD] >> bit % WORD & 1) != 0;
      z[element[bit]] += positive ? coefficient[bit] : -coefficient[bit];
    }
    return z;
  }
}

package dev.kvdrive.device;

import dev.kvdrive.plan.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How the token of a row is chosen, as it lies in the memory that {@link
 * TensorOperations.Choice#sampling} names: {@value #BYTES} bytes a row. All zeros are the likeliest
 * token.
 *
 * <p>Of the tokens, the one with the larger logit first and the lower one among equals, the first
 * {@code topK} stay; of these as few as have {@code topP} of their weight, at least one; of these
 * those with {@code minP} of the likeliest one's weight. The weight of a logit x beside the largest
 * one m is exp((x - m) / temperature) in whole multiples of 1 / {@value #WHOLE}, rounded down, so
 * that sums do not depend on their order. One is drawn in the order of tokens: the first with which
 * the sum of weights exceeds {@code draw} / 2^64 of the whole sum.
 */
public final class RowSampling {
  public static final int BYTES = Workspace.SAMPLING_BYTES;

  /** F32, at least 0; at 0 the likeliest token is taken and the rest does not count. */
  public static final int TEMPERATURE = 0;

  /** An int; 0 for all. */
  public static final int TOP_K = 4;

  /** F32 in (0, 1]. */
  public static final int TOP_P = 8;

  /** F32 in [0, 1]. */
  public static final int MIN_P = 12;

  /** 64 random bits. */
  public static final int DRAW = 16;

  /** What the likeliest token weighs. */
  public static final long WHOLE = 1L << 40;

  private RowSampling() {}

  /** Writes the sampling of a row. */
  public static void write(
      MemorySegment memory,
      long at,
      float temperature,
      int topK,
      float topP,
      float minP,
      long draw) {
    memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + TEMPERATURE, temperature);
    memory.set(ValueLayout.JAVA_INT_UNALIGNED, at + TOP_K, topK);
    memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + TOP_P, topP);
    memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + MIN_P, minP);
    memory.set(ValueLayout.JAVA_LONG_UNALIGNED, at + DRAW, draw);
  }
}

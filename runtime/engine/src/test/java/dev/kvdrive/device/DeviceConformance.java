package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * What every implementation of the device SPI must do, one subclass for each idea. An
 * implementation runs all of them from one file:
 *
 * <pre>
 *   class SomeDeviceConformanceTest {
 *     &#64;Nested
 *     class Memory extends MemoryConformance {
 *       &#64;Override
 *       protected Device open(long capacityBytes, long hostBytes) {
 *         return SomeDevice.open(capacityBytes, hostBytes);
 *       }
 *     }
 *     ... Queues, Pointwise, Matmul, Append, Select, Diff, Fetch, Attention, Prefill, Step
 *   }
 * </pre>
 *
 * <p>Every operation is run on the device and on the scalar oracle from the same inputs, which both
 * get through uploads. What is counted, chosen or copied must be equal. What is computed may differ
 * by a share of the sum of the absolute values of the terms that were added up, and by the rounding
 * of the device's activation type; never by an absolute amount. Memory that an operation has no
 * business with is filled with NaN or a guard value, so that reading or writing it shows.
 */
public abstract class DeviceConformance {
  /** Device memory of a test. */
  static final long CAPACITY = 96L << 20;

  /** Error of a sum, as a share of the sum of its terms' absolute values, F32 accumulation. */
  static final double SUMMATION = 1e-5;

  /** The device under test. */
  Rig subject;

  /** Opens the device under test with any amount of host memory. */
  final Device open(long capacityBytes) {
    return open(capacityBytes, Long.MAX_VALUE);
  }

  /** The scalar oracle. */
  Rig oracle;

  private final List<Rig> others = new ArrayList<>();

  /**
   * Opens the device under test.
   *
   * @param hostBytes cap of its host memory
   */
  protected abstract Device open(long capacityBytes, long hostBytes);

  /**
   * Opens a device that must compute the same bits although it has other means, for instance
   * another number of threads.
   */
  protected Device openAlike(long capacityBytes, long hostBytes) {
    return open(capacityBytes, hostBytes);
  }

  @BeforeEach
  void openDevices() {
    subject = new Rig(open(CAPACITY));
    oracle = new Rig(new ReferenceDevice(CAPACITY));
  }

  @AfterEach
  void nothingStaysAllocated() {
    others.add(subject);
    others.add(oracle);
    for (Rig rig : others) {
      rig.freeAll();
      assertThat(rig.device.usedBytes()).as("device bytes left").isEqualTo(rig.usedAtStart);
      assertThat(rig.device.hostBytes()).as("host bytes left").isEqualTo(rig.hostAtStart);
      rig.close();
      assertThat(rig.device.usedBytes()).as("device bytes after close").isZero();
      assertThat(rig.device.hostBytes()).as("host bytes after close").isZero();
    }
  }

  /** A second device that must compute the same bits. */
  Rig alike() {
    Rig rig = new Rig(openAlike(CAPACITY, Long.MAX_VALUE));
    others.add(rig);
    return rig;
  }

  /** Element type of the subject's activations; inputs are rounded to it for both. */
  ElementType activations() {
    return subject.device.activationType();
  }

  /** Relative error of storing a value as the subject's activation. */
  double rounding() {
    return activations() == ElementType.F32 ? 0x1p-23 : 0x1p-8;
  }

  /** Relative error of a weight: devices with narrow activations may hold matrices in that type. */
  double weights() {
    return activations() == ElementType.F32 ? 0 : 0x1p-8;
  }

  /**
   * Checks results of sums.
   *
   * @param sums sum of the absolute values of the terms of each
   * @param share error allowed as a share of it
   */
  void assertSums(
      String what, float[] actual, float[] expected, float[] sums, double share, double rounding) {
    assertThat(actual).as(what).hasSameSizeAs(expected).hasSameSizeAs(sums);
    for (int i = 0; i < actual.length; i++) {
      double bound = share * sums[i] + rounding * Math.abs(expected[i]) + Float.MIN_NORMAL;
      double error = Math.abs((double) actual[i] - expected[i]);
      if (!(error <= bound) && !(Float.isNaN(expected[i]) && Float.isNaN(actual[i]))) {
        assertThat(error)
            .as("%s: element %d is %s, not %s", what, i, actual[i], expected[i])
            .isLessThanOrEqualTo(bound);
      }
    }
  }

  /** Checks results of sums that are stored as activations. */
  void assertSums(String what, float[] actual, float[] expected, float[] sums) {
    assertSums(what, actual, expected, sums, SUMMATION, rounding());
  }

  /** Checks results that only rounding separates from the exact value. */
  void assertRounded(String what, float[] actual, float[] expected, double rounding) {
    assertSums(what, actual, expected, new float[expected.length], 0, rounding);
  }

  /** Checks that two results have the same bits. */
  static void assertSameBits(String what, float[] actual, float[] expected) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      if (Float.floatToIntBits(actual[i]) != Float.floatToIntBits(expected[i])) {
        assertThat(actual[i]).as("%s: element %d", what, i).isEqualTo(expected[i]);
      }
    }
  }

  /** The same bits on a device that promises that, otherwise within the error of reordering. */
  void assertUnchanged(String what, float[] actual, float[] expected, float[] sums) {
    if (subject.device.bitExact()) {
      assertSameBits(what, actual, expected);
    } else {
      assertSums(what, actual, expected, sums, 2 * SUMMATION, 2 * rounding());
    }
  }
}

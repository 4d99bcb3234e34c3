package dev.kvdrive.kv.index;

import dev.kvdrive.plan.BitPlaneSummary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Writes a transform and its bits as devices read them. */
public final class Codebook {
  private Codebook() {}

  /**
   * Writes the codebook of one (layer, KV head), as {@link BitPlaneSummary} says.
   *
   * @param at first byte of it in {@code memory}
   */
  public static void write(
      BitPlaneSummary format, KeyTransform transform, MemorySegment memory, long at) {
    int width = format.headDim();
    BitPlanes planes = BitPlanes.allocate(transform, format.bits());
    for (int i = 0; i < width; i++) {
      put(memory, at + 4L * i, transform.mean()[i]);
      for (int j = 0; j < width; j++) {
        put(
            memory,
            at + format.forwardOffset() + 4L * (j * width + i),
            transform.forward()[i * width + j]);
        put(
            memory,
            at + format.backwardOffset() + 4L * (i * width + j),
            transform.backward()[i * width + j]);
      }
    }
    for (int bit = 0; bit < format.bits(); bit++) {
      put(memory, at + format.coefficientOffset() + 4L * bit, planes.coefficient()[bit]);
      memory.set(
          ValueLayout.JAVA_INT_UNALIGNED,
          at + format.elementOffset() + 4L * bit,
          planes.element()[bit]);
    }
  }

  private static void put(MemorySegment memory, long at, float value) {
    memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, value);
  }
}

package dev.kvdrive.cpu;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;

/** The verbs of the CPU device, and how each of them gets its addresses and its turn. */
final class CpuOperations {
  private CpuOperations() {}

  /**
   * All verbs.
   *
   * @param scratch one for each thread of the pool
   */
  static Operations of(ComputePool pool, ThreadScratch[] scratch) {
    return new Operations(
        new CpuTensor(pool, scratch),
        new KvWriter(pool),
        new ChunkIndex(pool, scratch),
        new CpuWindow(pool, scratch),
        new CpuAttention(pool, scratch));
  }

  static void submit(Queue queue, Runnable work) {
    if (!(queue instanceof CpuQueue cpu)) {
      throw new DeviceException("the queue is not one of the CPU device");
    }
    cpu.submit(work);
  }

  /** Address of the first row of a view. */
  static long address(Activations rows) {
    return CpuBuffer.address(rows.buffer()) + 4L * rows.offset();
  }

  /** Bytes from one row of a view to the next. */
  static long stride(Activations rows) {
    return 4L * rows.stride();
  }

  /**
   * Refuses views of other elements than this device computes with.
   *
   * @throws IllegalArgumentException if one is not F32
   */
  static void requireF32(Activations... views) {
    for (Activations view : views) {
      if (view.type() != ElementType.F32) {
        throw new IllegalArgumentException(
            "%s has %s elements; activations of the CPU device are F32"
                .formatted(view.buffer().label(), view.type()));
      }
    }
  }
}

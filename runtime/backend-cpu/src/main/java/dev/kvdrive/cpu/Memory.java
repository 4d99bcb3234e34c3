package dev.kvdrive.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * All native memory as one segment that starts at address 0, so that kernels address by absolute
 * address and their loops have neither bounds nor liveness checks. Whoever calls a kernel has
 * checked the shapes and owns the memory for the length of the call: a wrong address ends the
 * process.
 *
 * <p>The segment checks even so whether an index is negative or beyond {@link Long#MAX_VALUE}, and
 * of an address the compiler knows nothing. In a loop over blocks that check becomes some twenty
 * instructions for each vector (decision 165). So every access goes by way of {@link #inBounds}:
 * behind it there is nothing left to check.
 */
final class Memory {
  /** Every address. */
  static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  /** All bits that an address of memory can have, with room above for what is added to it. */
  static final long ADDRESS = (1L << 62) - 1;

  /** The byte order of model files and of everything that kernels read and write. */
  static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

  static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
  static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
  static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ORDER);
  static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ORDER);

  private static final VarHandle ALIGNED_INT = ValueLayout.JAVA_INT.varHandle();

  private Memory() {}

  /** The same address, such that the compiler knows that it is within {@link #ALL}. */
  static long inBounds(long address) {
    return address & ADDRESS;
  }

  static byte getByte(long address) {
    return ALL.get(BYTE, inBounds(address));
  }

  static short getShort(long address) {
    return ALL.get(SHORT, inBounds(address));
  }

  static int getInt(long address) {
    return ALL.get(INT, inBounds(address));
  }

  static long getLong(long address) {
    return ALL.get(LONG, inBounds(address));
  }

  static float getFloat(long address) {
    return ALL.get(FLOAT, inBounds(address));
  }

  /** The half-precision float at {@code address}. */
  static float getHalf(long address) {
    return Float.float16ToFloat(ALL.get(SHORT, inBounds(address)));
  }

  static void putFloat(long address, float value) {
    ALL.set(FLOAT, inBounds(address), value);
  }

  static void putInt(long address, int value) {
    ALL.set(INT, inBounds(address), value);
  }

  static void putShort(long address, short value) {
    ALL.set(SHORT, inBounds(address), value);
  }

  static void putByte(long address, byte value) {
    ALL.set(BYTE, inBounds(address), value);
  }

  /** Adds to an aligned int that several threads may add to. */
  static void addInt(long address, int plus) {
    var _ = (int) ALIGNED_INT.getAndAdd(ALL, inBounds(address), plus);
  }

  /** Copies between places that do not overlap. */
  static void copy(long from, long to, long bytes) {
    MemorySegment.copy(ALL, from, ALL, to, bytes);
  }

  /** Copies floats to the start of an array. */
  static void copy(long from, float[] to, int count) {
    MemorySegment.copy(ALL, FLOAT, from, to, 0, count);
  }

  /** Sets bytes to 0. A few: as a slice, which many take, would be an object. */
  static void clear(long address, long bytes) {
    long i = 0;
    for (; i + Long.BYTES <= bytes; i += Long.BYTES) {
      ALL.set(LONG, inBounds(address + i), 0);
    }
    for (; i < bytes; i++) {
      putByte(address + i, (byte) 0);
    }
  }

  static void fillInts(long address, long count, int value) {
    for (long i = 0; i < count; i++) {
      putInt(address + 4 * i, value);
    }
  }
}

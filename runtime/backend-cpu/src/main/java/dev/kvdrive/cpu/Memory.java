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
 */
final class Memory {
  /** Every address. */
  static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  /** The byte order of model files and of everything that kernels read and write. */
  static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

  static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ORDER);
  static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ORDER);
  static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ORDER);
  static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ORDER);

  private static final VarHandle ALIGNED_INT = ValueLayout.JAVA_INT.varHandle();

  private Memory() {}

  static byte getByte(long address) {
    return ALL.get(BYTE, address);
  }

  static short getShort(long address) {
    return ALL.get(SHORT, address);
  }

  static int getInt(long address) {
    return ALL.get(INT, address);
  }

  static long getLong(long address) {
    return ALL.get(LONG, address);
  }

  static float getFloat(long address) {
    return ALL.get(FLOAT, address);
  }

  /** The half-precision float at {@code address}. */
  static float getHalf(long address) {
    return Float.float16ToFloat(ALL.get(SHORT, address));
  }

  static void putFloat(long address, float value) {
    ALL.set(FLOAT, address, value);
  }

  static void putInt(long address, int value) {
    ALL.set(INT, address, value);
  }

  static void putShort(long address, short value) {
    ALL.set(SHORT, address, value);
  }

  static void putByte(long address, byte value) {
    ALL.set(BYTE, address, value);
  }

  /** Adds to an aligned int that several threads may add to. */
  static void addInt(long address, int plus) {
    var _ = (int) ALIGNED_INT.getAndAdd(ALL, address, plus);
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
      ALL.set(LONG, address + i, 0);
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

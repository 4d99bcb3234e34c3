package dev.kvdrive.cuda;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The one struct that every kernel takes, written field by field at the places that its description
 * says. The driver copies it when a kernel is launched or recorded, so one block serves a queue.
 * Every field has to be written once; {@link #end} checks that.
 */
final class Arguments {
  /** The driver's limit for the arguments of a kernel. */
  private static final int MAX_BYTES = 4096;

  private final ByteBuffer block =
      ByteBuffer.allocateDirect(MAX_BYTES).order(ByteOrder.nativeOrder());
  private final long address = MemorySegment.ofBuffer(block).address();
  private int written;

  /** Starts a struct. */
  Arguments begin() {
    written = 0;
    return this;
  }

  /** Writes an address or a 64-bit number. */
  Arguments put(Struct.Field field, long value) {
    return put(0, field, value);
  }

  Arguments put(Struct.Field field, int value) {
    return put(0, field, value);
  }

  Arguments put(Struct.Field field, float value) {
    return put(0, field, value);
  }

  /**
   * Writes a field of a struct within the struct.
   *
   * @param base where the inner one begins
   */
  Arguments put(int base, Struct.Field field, long value) {
    if (field.kind() != Struct.Kind.POINTER && field.kind() != Struct.Kind.INT64) {
      throw unlike(field, "64 bits");
    }
    block.putLong(base + field.offset(), value);
    written += Long.BYTES;
    return this;
  }

  Arguments put(int base, Struct.Field field, int value) {
    if (field.kind() != Struct.Kind.INT) {
      throw unlike(field, "an int");
    }
    block.putInt(base + field.offset(), value);
    written += Integer.BYTES;
    return this;
  }

  Arguments put(int base, Struct.Field field, float value) {
    if (field.kind() != Struct.Kind.FLOAT || field.count() != 1) {
      throw unlike(field, "a float");
    }
    block.putFloat(base + field.offset(), value);
    written += Float.BYTES;
    return this;
  }

  /** Writes an array; what is missing of it is 0. */
  Arguments put(Struct.Field field, float[] values) {
    if (field.kind() != Struct.Kind.FLOAT || values.length > field.count()) {
      throw unlike(field, values.length + " floats");
    }
    for (int i = 0; i < field.count(); i++) {
      block.putFloat(field.offset() + Float.BYTES * i, i < values.length ? values[i] : 0);
    }
    written += field.bytes();
    return this;
  }

  /** Writes opaque bytes. */
  Arguments put(Struct.Field field, MemorySegment bytes) {
    if (field.kind() != Struct.Kind.BYTE || bytes.byteSize() != field.count()) {
      throw unlike(field, bytes.byteSize() + " bytes");
    }
    MemorySegment.copy(bytes, 0, MemorySegment.ofBuffer(block), field.offset(), bytes.byteSize());
    written += field.bytes();
    return this;
  }

  /** Zeroes a field, every one of a struct within the struct. */
  Arguments none(Struct.Field field) {
    for (int i = 0; i < field.bytes(); i++) {
      block.put(field.offset() + i, (byte) 0);
    }
    written += field.bytes();
    return this;
  }

  private static IllegalStateException unlike(Struct.Field field, String what) {
    return new IllegalStateException(
        "field %s is %s[%d], not %s"
            .formatted(field.name(), field.declared(), field.count(), what));
  }

  /**
   * Ends a struct.
   *
   * @return its address, which a launch takes
   */
  long end(Struct struct) {
    if (written != struct.written()) {
      throw new IllegalStateException(
          "%s has fields of %d bytes, %d were written"
              .formatted(struct.name(), struct.written(), written));
    }
    return address;
  }
}

package dev.kvdrive.cuda;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A struct that kernels take, described once: C's declaration is generated from it ({@link
 * StructHeader}), and Java writes it by its fields. A subclass declares a field by each {@code
 * final Field}, in order; every one lies at the next multiple of its alignment, as C places it.
 */
abstract class Struct {
  /** What a field holds. */
  enum Kind {
    POINTER(8),
    INT64(8),
    INT(4),
    FLOAT(4),
    BYTE(1),
    STRUCT(0);

    private final int bytes;

    Kind(int bytes) {
      this.bytes = bytes;
    }
  }

  /**
   * A field.
   *
   * @param kind what it holds
   * @param declared its type in C
   * @param name in C and in Java
   * @param offset bytes from the start of the struct
   * @param count elements of an array, 1 otherwise
   * @param struct the struct it is, if it is one
   */
  record Field(
      Kind kind, String declared, String name, int offset, int count, @Nullable Struct struct) {
    /** Bytes that have to be written. */
    int bytes() {
      return struct == null ? count * kind.bytes : struct.written;
    }
  }

  private final String name;
  private final List<Field> fields = new ArrayList<>();
  private int end;
  private int written;
  private int alignment = 1;

  /**
   * @param name in C
   */
  Struct(String name) {
    this.name = name;
  }

  String name() {
    return name;
  }

  List<Field> fields() {
    return List.copyOf(fields);
  }

  /** Bytes in C. */
  int size() {
    return Math.ceilDiv(end, alignment) * alignment;
  }

  /** Bytes of all fields, without what lies between them. */
  int written() {
    return written;
  }

  /** A device address. */
  final Field pointer(String declared, String name) {
    return add(Kind.POINTER, declared, name, 8, 8, 1, null);
  }

  final Field int64(String name) {
    return add(Kind.INT64, "int64_t", name, 8, 8, 1, null);
  }

  final Field int32(String name) {
    return add(Kind.INT, "int", name, 4, 4, 1, null);
  }

  final Field float32(String name) {
    return add(Kind.FLOAT, "float", name, 4, 4, 1, null);
  }

  final Field floats(String name, int count) {
    return add(Kind.FLOAT, "float", name, 4, 4, count, null);
  }

  /** Bytes that only the driver knows the meaning of, aligned as it wants them. */
  final Field opaque(String name, int count, int align) {
    return add(Kind.BYTE, "alignas(%d) char".formatted(align), name, 1, align, count, null);
  }

  final Field struct(Struct struct, String name) {
    return add(Kind.STRUCT, struct.name, name, struct.size(), struct.alignment, 1, struct);
  }

  private Field add(
      Kind kind,
      String declared,
      String name,
      int bytes,
      int align,
      int count,
      @Nullable Struct struct) {
    int offset = Math.ceilDiv(end, align) * align;
    Field field = new Field(kind, declared, name, offset, count, struct);
    fields.add(field);
    end = offset + bytes * count;
    written += field.bytes();
    alignment = Math.max(alignment, align);
    return field;
  }
}

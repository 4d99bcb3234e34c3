package dev.kvdrive.text;

import java.util.Arrays;

/** A growing list of token ids. */
final class Ids {

  private int[] values = new int[64];
  private int size;

  void add(int id) {
    if (size == values.length) {
      values = Arrays.copyOf(values, size * 2);
    }
    values[size++] = id;
  }

  void addAll(int[] ids) {
    if (values.length - size < ids.length) {
      values = Arrays.copyOf(values, Math.max(values.length * 2, size + ids.length));
    }
    System.arraycopy(ids, 0, values, size, ids.length);
    size += ids.length;
  }

  int size() {
    return size;
  }

  int get(int index) {
    return values[index];
  }

  int[] from(int start) {
    return Arrays.copyOfRange(values, start, size);
  }

  int[] toArray() {
    return Arrays.copyOf(values, size);
  }
}

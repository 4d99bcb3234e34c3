package dev.kvdrive.cpu;

import java.util.Arrays;

/** The lowest k of a stream of keys, in a heap with the highest of them on top. */
final class LowestKeys {
  private LowestKeys() {}

  /**
   * Offers a key.
   *
   * @param heap the lowest keys so far
   * @param size how many those are
   * @param capacity how many are wanted, at least 1
   * @return how many there are now
   */
  static int offer(long[] heap, int size, int capacity, long key) {
    if (size < capacity) {
      int at = size;
      while (at > 0 && heap[(at - 1) >>> 1] < key) {
        heap[at] = heap[(at - 1) >>> 1];
        at = (at - 1) >>> 1;
      }
      heap[at] = key;
      return size + 1;
    }
    if (key < heap[0]) {
      int at = 0;
      for (int child = 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && heap[child + 1] > heap[child]) {
          child++;
        }
        if (heap[child] <= key) {
          break;
        }
        heap[at] = heap[child];
        at = child;
      }
      heap[at] = key;
    }
    return size;
  }

  /** Puts the keys of a heap in ascending order. */
  static void sort(long[] heap, int size) {
    Arrays.sort(heap, 0, size);
  }
}

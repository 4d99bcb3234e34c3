package dev.kvdrive.text;

import java.util.Arrays;

/**
 * The merges of a byte-pair vocabulary: which two neighbouring symbols become which token, and how
 * early. Open addressing over one array, so that a lookup touches one or two cache lines. Filled
 * once, then read by any thread.
 */
final class PairTable {

  static final long NONE = -1;

  private static final long FREE = Long.MIN_VALUE;

  private long[] keys = new long[1 << 10];
  private long[] values = new long[1 << 10];
  private int mask = (1 << 10) - 1;
  private int size;

  PairTable() {
    Arrays.fill(keys, FREE);
  }

  /** Symbols are token ids, or {@code ~codePoint} for a character outside the vocabulary. */
  private static long key(int left, int right) {
    return ((long) left << 32) | (right & 0xffffffffL);
  }

  private int slot(long key) {
    long hash = key * 0x9E3779B97F4A7C15L;
    int at = (int) (hash >>> 33) & mask;
    while (keys[at] != key && keys[at] != FREE) {
      at = (at + 1) & mask;
    }
    return at;
  }

  /** Adds a merge and returns whether it is new; an earlier one of the same pair stays. */
  boolean put(int left, int right, int rank, int merged) {
    long key = key(left, right);
    int at = slot(key);
    if (keys[at] == key) {
      return false;
    }
    keys[at] = key;
    values[at] = ((long) rank << 32) | merged;
    size++;
    if (size > keys.length / 2) {
      grow();
    }
    return true;
  }

  private void grow() {
    long[] oldKeys = keys;
    long[] oldValues = values;
    keys = new long[oldKeys.length * 2];
    values = new long[oldKeys.length * 2];
    mask = keys.length - 1;
    Arrays.fill(keys, FREE);
    for (int i = 0; i < oldKeys.length; i++) {
      if (oldKeys[i] != FREE) {
        int at = slot(oldKeys[i]);
        keys[at] = oldKeys[i];
        values[at] = oldValues[i];
      }
    }
  }

  int size() {
    return size;
  }

  /** Rank in the upper, resulting token id in the lower 32 bits, or {@link #NONE}. */
  long get(int left, int right) {
    long key = key(left, right);
    int at = slot(key);
    return keys[at] == key ? values[at] : NONE;
  }
}

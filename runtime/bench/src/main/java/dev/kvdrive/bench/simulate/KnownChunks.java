package dev.kvdrive.bench.simulate;

import java.util.Arrays;

/**
 * Chunks that a (seat, layer, KV head) has chosen at some time, ascending: no other can be in a
 * window, so that no other score is worth recording. Writer and reader keep it alike.
 */
final class KnownChunks {
  private int[] chunks = {};

  void add(int[] chosen) {
    int[] merged = new int[chunks.length + chosen.length];
    int count = 0;
    int i = 0;
    int j = 0;
    while (i < chunks.length || j < chosen.length) {
      if (j == chosen.length || (i < chunks.length && chunks[i] < chosen[j])) {
        merged[count++] = chunks[i++];
      } else {
        if (i < chunks.length && chunks[i] == chosen[j]) {
          i++;
        }
        merged[count++] = chosen[j++];
      }
    }
    if (count > chunks.length) {
      chunks = Arrays.copyOf(merged, count);
    }
  }

  int[] chunks() {
    return chunks;
  }
}

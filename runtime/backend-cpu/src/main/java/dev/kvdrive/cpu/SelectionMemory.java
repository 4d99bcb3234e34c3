package dev.kvdrive.cpu;

import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Selection;

/** Addresses of what a {@link Selection} describes. A cell is a (row, KV head). */
final class SelectionMemory {
  final Selection selection;
  private final int kvHeads;
  private final int passChunks;
  private final long scores;
  private final long selected;
  private final long selectedCount;
  private final long slots;
  private final long misses;
  private final long missCount;
  private final long counters;

  SelectionMemory(Selection selection, int kvHeads) {
    this.selection = selection;
    this.kvHeads = kvHeads;
    passChunks = selection.passChunks();
    scores = CpuBuffer.address(selection.scores());
    selected = CpuBuffer.address(selection.selected());
    selectedCount = CpuBuffer.address(selection.selectedCount());
    slots = CpuBuffer.address(selection.slots());
    misses = CpuBuffer.address(selection.misses());
    missCount = CpuBuffer.address(selection.missCount());
    counters = CpuBuffer.address(selection.counters());
  }

  SelectionMemory(Pass pass) {
    this(pass.selection(), pass.layer().layout().kvHeads());
  }

  private long cell(int row, int head) {
    return (long) row * kvHeads + head;
  }

  /** {@code float[maxChunks]}. */
  long scores(int row, int head) {
    return scores + 4 * cell(row, head) * selection.maxChunks();
  }

  /** {@code int[maxSelected]}. */
  long selected(int row, int head) {
    return selected + 4 * cell(row, head) * selection.maxSelected();
  }

  /** {@code int}. */
  long selectedCount(int row, int head) {
    return selectedCount + 4 * cell(row, head);
  }

  /** Whether a chunk is one of those selected. */
  boolean isSelected(int row, int head, int chunk) {
    long selected = selected(row, head);
    int low = 0;
    int high = Memory.getInt(selectedCount(row, head)) - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      int at = Memory.getInt(selected + 4L * middle);
      if (at == chunk) {
        return true;
      }
      if (at < chunk) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return false;
  }

  /** {@code int[passChunks]}. */
  long slots(int row, int head) {
    return slots + 4 * cell(row, head) * passChunks;
  }

  /** {@code int[passChunks]}. */
  long misses(int row, int head) {
    return misses + 4 * cell(row, head) * passChunks;
  }

  /** {@code int}. */
  long missCount(int row, int head) {
    return missCount + 4 * cell(row, head);
  }

  /** Transit index of chunk {@code i} of the pass. */
  int transit(int row, int head, int i) {
    return Math.toIntExact(cell(row, head) * passChunks + i);
  }

  /** Chunks of a pass. */
  int passCount(int row, int head, int pass) {
    int left = Memory.getInt(selectedCount(row, head)) - pass * passChunks;
    return Math.clamp(left, 0, passChunks);
  }

  /** Adds to a counter of a row; several threads may. */
  void count(int row, int counter, int plus) {
    if (plus != 0) {
      Memory.addInt(counters + 4L * ((long) row * Selection.COUNTERS + counter), plus);
    }
  }
}

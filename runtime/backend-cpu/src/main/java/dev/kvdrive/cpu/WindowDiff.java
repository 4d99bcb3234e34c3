package dev.kvdrive.cpu;

import dev.kvdrive.device.Selection;
import java.util.Arrays;

/** Looks selected chunks up in the window and gives misses their slots: {@code Operations.diff}. */
final class WindowDiff {
  private final ThreadScratch[] scratch;
  private final ComputePool pool;

  WindowDiff(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  void diff(StepRows batch, KvMemory kv, SelectionMemory selection, int pass) {
    int heads = kv.layout.kvHeads();
    pool.run(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat >= 0) {
            diff(kv, selection, pass, row, seat, head, scratch[thread]);
          }
        });
  }

  private static void diff(
      KvMemory kv,
      SelectionMemory selection,
      int pass,
      int row,
      int seat,
      int head,
      ThreadScratch scratch) {
    int count = selection.passCount(row, head, pass);
    int windowSlots = kv.layer.windowSlots()[head];
    long selected = selection.selected(row, head) + 4L * pass * selection.selection.passChunks();
    long slots = selection.slots(row, head);
    long misses = selection.misses(row, head);
    long slotOfChunk = kv.slotOfChunk(seat, head);
    boolean[] needed = scratch.flags(windowSlots);
    Arrays.fill(needed, 0, windowSlots, false);
    int missed = 0;
    for (int i = 0; i < count; i++) {
      int slot = Memory.getInt(slotOfChunk + 4L * Memory.getInt(selected + 4L * i));
      Memory.putInt(slots + 4L * i, slot);
      if (slot >= 0) {
        needed[slot] = true;
      } else {
        Memory.putInt(misses + 4L * missed++, i);
      }
    }
    Memory.putInt(selection.missCount(row, head), missed);
    selection.count(row, Selection.HITS_COUNTER, count - missed);
    if (missed > 0) {
      replace(kv, seat, head, windowSlots, needed, selected, slots, misses, missed, scratch);
    }
  }

  /** Gives each miss an empty slot or that of the victim with the lowest attention. */
  private static void replace(
      KvMemory kv,
      int seat,
      int head,
      int windowSlots,
      boolean[] needed,
      long selected,
      long slots,
      long misses,
      int missed,
      ThreadScratch scratch) {
    long chunkOfSlot = kv.chunkOfSlot(seat, head);
    long attentionOfSlot = kv.attentionOfSlot(seat, head);
    long slotOfChunk = kv.slotOfChunk(seat, head);
    long[] leaving = scratch.longs(missed);
    int found = 0;
    for (int slot = 0; slot < windowSlots; slot++) {
      if (!needed[slot]) {
        boolean empty = Memory.getInt(chunkOfSlot + 4L * slot) < 0;
        // Attention is never negative, so that its bits order like its values; empty slots first.
        long order = empty ? 0 : 1L + Memory.getInt(attentionOfSlot + 4L * slot);
        found = LowestKeys.offer(leaving, found, missed, order << 32 | slot);
      }
    }
    LowestKeys.sort(leaving, found);
    for (int m = 0; m < missed; m++) {
      int i = Memory.getInt(misses + 4L * m);
      int slot = (int) leaving[m];
      int victim = Memory.getInt(chunkOfSlot + 4L * slot);
      if (victim >= 0) {
        Memory.putInt(slotOfChunk + 4L * victim, -1);
      }
      int chunk = Memory.getInt(selected + 4L * i);
      Memory.putInt(chunkOfSlot + 4L * slot, chunk);
      Memory.putInt(slotOfChunk + 4L * chunk, slot);
      Memory.putFloat(attentionOfSlot + 4L * slot, 0);
      Memory.putInt(slots + 4L * i, slot);
    }
  }
}

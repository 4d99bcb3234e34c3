package dev.kvdrive.cpu;

import dev.kvdrive.device.Selection;
import dev.kvdrive.device.WindowOperations.Forgotten;
import java.util.Arrays;

/** Keys of resident chunks, look-ups of selected ones, and slots for misses. */
final class WindowDiff {
  private final ThreadScratch[] scratch;
  private final ComputePool pool;

  WindowDiff(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    this.scratch = scratch;
  }

  void key(StepRows batch, KvMemory kv, SelectionMemory selection) {
    int heads = kv.layout.kvHeads();
    pool.run(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          int closed = kv.layout.grid().closedChunks(batch.tokens(row));
          boolean all = Memory.getInt(selection.selectedCount(row, head)) >= closed;
          long scores = selection.scores(row, head);
          long chunkOfSlot = kv.chunkOfSlot(seat, head);
          long keyOfSlot = kv.keyOfSlot(seat, head);
          int slots = kv.windowSlots(seat, head);
          for (int slot = 0; slot < slots; slot++) {
            int chunk = Memory.getInt(chunkOfSlot + 4L * slot);
            if (chunk >= 0) {
              float key = all ? -chunk : Memory.getFloat(scores + 4L * chunk);
              Memory.putFloat(keyOfSlot + 4L * slot, key);
            }
          }
        });
  }

  void recent(StepRows batch, KvMemory kv, SelectionMemory selection, int pass) {
    int heads = kv.layout.kvHeads();
    pool.run(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          long slots = selection.slots(row, head);
          long keyOfSlot = kv.keyOfSlot(seat, head);
          int count = selection.passCount(row, head, pass);
          for (int i = 0; i < count; i++) {
            int slot = Memory.getInt(slots + 4L * i);
            Memory.putFloat(keyOfSlot + 4L * slot, batch.position(row));
          }
        });
  }

  void forget(StepRows batch, KvMemory kv, SelectionMemory selection, Forgotten which) {
    int heads = kv.layout.kvHeads();
    pool.run(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          long chunkOfSlot = kv.chunkOfSlot(seat, head);
          long slotOfChunk = kv.slotOfChunk(seat, head);
          int slots = kv.windowSlots(seat, head);
          for (int slot = 0; slot < slots; slot++) {
            int chunk = Memory.getInt(chunkOfSlot + 4L * slot);
            if (chunk >= 0 && (which == Forgotten.ALL || !selection.isSelected(row, head, chunk))) {
              Memory.putInt(chunkOfSlot + 4L * slot, -1);
              Memory.putInt(slotOfChunk + 4L * chunk, -1);
            }
          }
        });
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
    int windowSlots = kv.windowSlots(seat, head);
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

  /** Gives each miss an empty slot or that of the victim with the lowest key. */
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
    long keyOfSlot = kv.keyOfSlot(seat, head);
    long slotOfChunk = kv.slotOfChunk(seat, head);
    long[] leaving = scratch.longs(missed);
    int found = 0;
    for (int slot = 0; slot < windowSlots; slot++) {
      if (!needed[slot]) {
        boolean empty = Memory.getInt(chunkOfSlot + 4L * slot) < 0;
        long order = empty ? Long.MIN_VALUE : (long) ordered(keyOfSlot + 4L * slot) << 32;
        found = LowestKeys.offer(leaving, found, missed, order | slot);
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
      Memory.putInt(slots + 4L * i, slot);
    }
  }

  /** A float as an int that orders like it, above the lowest of all. */
  private static int ordered(long key) {
    int bits = Memory.getInt(key);
    return Math.max(bits >= 0 ? bits : bits ^ Integer.MAX_VALUE, Integer.MIN_VALUE + 1);
  }
}

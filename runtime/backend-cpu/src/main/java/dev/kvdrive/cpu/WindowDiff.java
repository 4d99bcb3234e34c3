package dev.kvdrive.cpu;

import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.Uses;
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

  /** What is done with the window of a (row, KV head). */
  private interface OfWindow {
    void run(int row, int head, int seat, int thread);
  }

  /** Every window of the rows that have a seat, on all threads. */
  private Runnable eachWindow(StepRows batch, KvMemory kv, OfWindow work) {
    int heads = kv.layout.kvHeads();
    return pool.region(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int seat = batch.seat(row);
          if (seat >= 0) {
            work.run(row, task % heads, seat, thread);
          }
        });
  }

  Runnable key(StepRows batch, KvMemory kv, SelectionMemory selection, boolean uses) {
    return eachWindow(
        batch,
        kv,
        (row, head, seat, thread) -> {
          int closed = kv.layout.grid().closedChunks(batch.tokens(row));
          boolean all = Memory.getInt(selection.selectedCount(row, head)) >= closed;
          long scores = selection.scores(row, head);
          long table = kv.slotTable(seat, head);
          int slots = kv.windowSlots(seat, head);
          int position = batch.position(row);
          for (int slot = 0; slot < slots; slot++) {
            int chunk = Memory.getInt(kv.chunkOfSlot(table, slot));
            if (chunk >= 0) {
              float key = all ? -chunk : Memory.getFloat(scores + 4L * chunk);
              if (uses && !all) {
                key += Uses.merit(Memory.getInt(kv.usesOfSlot(table, slot)), position);
              }
              Memory.putFloat(kv.keyOfSlot(table, slot), key);
            }
          }
        });
  }

  Runnable recent(StepRows batch, KvMemory kv, SelectionMemory selection, int pass) {
    return eachWindow(
        batch,
        kv,
        (row, head, seat, thread) -> {
          long slots = selection.slots(row, head);
          long table = kv.slotTable(seat, head);
          int count = selection.passCount(row, head, pass);
          for (int i = 0; i < count; i++) {
            int slot = Memory.getInt(slots + 4L * i);
            Memory.putFloat(kv.keyOfSlot(table, slot), batch.position(row));
          }
        });
  }

  Runnable forget(StepRows batch, KvMemory kv, SelectionMemory selection, Forgotten which) {
    return eachWindow(
        batch,
        kv,
        (row, head, seat, thread) -> {
          long table = kv.slotTable(seat, head);
          int slots = kv.windowSlots(seat, head);
          for (int slot = 0; slot < slots; slot++) {
            int chunk = Memory.getInt(kv.chunkOfSlot(table, slot));
            if (chunk >= 0 && (which == Forgotten.ALL || !selection.isSelected(row, head, chunk))) {
              kv.leaves(seat, head, chunk, slot);
            }
          }
        });
  }

  Runnable diff(StepRows batch, KvMemory kv, SelectionMemory selection, int pass) {
    return eachWindow(
        batch,
        kv,
        (row, head, seat, thread) ->
            diff(kv, selection, pass, row, seat, head, batch.position(row), scratch[thread]));
  }

  /** Counts hits in marked slots and takes the marks of the pass away. */
  Runnable credit(StepRows batch, KvMemory kv, SelectionMemory selection, int pass, long marks) {
    return eachWindow(
        batch,
        kv,
        (row, head, seat, thread) -> {
          long slots = selection.slots(row, head);
          long table = kv.slotTable(seat, head);
          int misses = Memory.getInt(selection.missCount(row, head));
          for (int m = 0; m < misses; m++) {
            int i = Memory.getInt(selection.misses(row, head) + 4L * m);
            Memory.putInt(KvMemory.mark(marks, table, Memory.getInt(slots + 4L * i)), 0);
          }
          int count = selection.passCount(row, head, pass);
          int credited = 0;
          for (int i = 0; i < count; i++) {
            long mark = KvMemory.mark(marks, table, Memory.getInt(slots + 4L * i));
            credited += Memory.getInt(mark);
            Memory.putInt(mark, 0);
          }
          selection.count(row, Selection.PREFETCHED_COUNTER, credited);
        });
  }

  /** Adds the ages of what is selected, and notes that it is. */
  Runnable observe(
      StepRows batch, KvMemory kv, SelectionMemory selection, long lastSelected, long ages) {
    int heads = kv.layout.kvHeads();
    return eachWindow(
        batch,
        kv,
        (row, head, seat, thread) -> {
          int count = Memory.getInt(selection.selectedCount(row, head));
          if (count >= kv.layout.grid().closedChunks(batch.tokens(row))) {
            return;
          }
          int position = batch.position(row);
          long window = (long) seat * heads + head;
          long last = lastSelected + 4 * window * kv.layer.maxChunks();
          long counts = ages + 4 * window * LayerReuse.CLASSES;
          long selected = selection.selected(row, head);
          for (int i = 0; i < count; i++) {
            long at = last + 4L * Memory.getInt(selected + 4L * i);
            int before = Memory.getInt(at);
            if (before != position) {
              int age = before < 0 ? LayerReuse.NEVER : LayerReuse.classOf(position - before);
              Memory.putInt(counts + 4L * age, Memory.getInt(counts + 4L * age) + 1);
              Memory.putInt(at, position);
            }
          }
        });
  }

  /** Empties the places of a seat's windows from {@code int[seats][kvHeads]} keep on. */
  static void trim(KvMemory kv, int seat, long keep) {
    int heads = kv.layout.kvHeads();
    for (int head = 0; head < heads; head++) {
      long table = kv.slotTable(seat, head);
      int place = Memory.getInt(keep + 4 * ((long) seat * heads + head));
      for (; place < kv.windowSlots(seat, head); place++) {
        int chunk = Memory.getInt(kv.chunkOfSlot(table, place));
        if (chunk >= 0) {
          kv.leaves(seat, head, chunk, place);
        }
      }
    }
  }

  private static void diff(
      KvMemory kv,
      SelectionMemory selection,
      int pass,
      int row,
      int seat,
      int head,
      int position,
      ThreadScratch scratch) {
    int count = selection.passCount(row, head, pass);
    int windowSlots = kv.windowSlots(seat, head);
    long selected = selection.selected(row, head) + 4L * pass * selection.selection.passChunks();
    long slots = selection.slots(row, head);
    long misses = selection.misses(row, head);
    long slotOfChunk = kv.slotOfChunk(seat, head);
    long table = kv.slotTable(seat, head);
    boolean[] needed = scratch.flags(windowSlots);
    Arrays.fill(needed, 0, windowSlots, false);
    int missed = 0;
    for (int i = 0; i < count; i++) {
      int slot = Memory.getInt(slotOfChunk + 4L * Memory.getInt(selected + 4L * i));
      Memory.putInt(slots + 4L * i, slot);
      if (slot >= 0) {
        needed[slot] = true;
        long uses = kv.usesOfSlot(table, slot);
        Memory.putInt(uses, Uses.of(Uses.times(Memory.getInt(uses)) + 1, position));
      } else {
        Memory.putInt(misses + 4L * missed++, i);
      }
    }
    Memory.putInt(selection.missCount(row, head), missed);
    selection.count(row, Selection.HITS_COUNTER, count - missed);
    if (missed > 0) {
      replace(
          kv, seat, head, position, windowSlots, needed, selected, slots, misses, missed, scratch);
    }
  }

  /** Gives each miss an empty slot or that of the victim with the lowest key. */
  private static void replace(
      KvMemory kv,
      int seat,
      int head,
      int position,
      int windowSlots,
      boolean[] needed,
      long selected,
      long slots,
      long misses,
      int missed,
      ThreadScratch scratch) {
    long table = kv.slotTable(seat, head);
    long slotOfChunk = kv.slotOfChunk(seat, head);
    long[] leaving = scratch.longs(missed);
    int found = 0;
    for (int slot = 0; slot < windowSlots; slot++) {
      if (!needed[slot]) {
        boolean empty = Memory.getInt(kv.chunkOfSlot(table, slot)) < 0;
        long order = empty ? Long.MIN_VALUE : (long) ordered(kv.keyOfSlot(table, slot)) << 32;
        found = LowestKeys.offer(leaving, found, missed, order | slot);
      }
    }
    LowestKeys.sort(leaving, found);
    for (int m = 0; m < missed; m++) {
      int i = Memory.getInt(misses + 4L * m);
      int slot = (int) leaving[m];
      int victim = Memory.getInt(kv.chunkOfSlot(table, slot));
      if (victim >= 0) {
        kv.leaves(seat, head, victim, slot);
      }
      int chunk = Memory.getInt(selected + 4L * i);
      long place = slotOfChunk + 4L * chunk;
      int before = Uses.timesWhileAbsent(Memory.getInt(place));
      Memory.putInt(kv.chunkOfSlot(table, slot), chunk);
      Memory.putInt(kv.usesOfSlot(table, slot), Uses.of(before + 1, position));
      Memory.putInt(place, slot);
      Memory.putInt(slots + 4L * i, slot);
    }
  }

  /** A float as an int that orders like it, above the lowest of all. */
  private static int ordered(long key) {
    int bits = Memory.getInt(key);
    return Math.max(bits >= 0 ? bits : bits ^ Integer.MAX_VALUE, Integer.MIN_VALUE + 1);
  }
}

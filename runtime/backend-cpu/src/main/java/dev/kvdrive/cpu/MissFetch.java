package dev.kvdrive.cpu;

import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Selection;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Brings misses into the window: {@code fetch} and {@code land}. */
final class MissFetch {
  private static final int STATUS_WORD = 5;

  /** Looks at the mailbox before a wait begins to nap. */
  private static final int SPINS = 200;

  private static final long NAP_NANOS = 10_000;

  private final ComputePool pool;

  MissFetch(ComputePool pool) {
    this.pool = pool;
  }

  Runnable fetch(
      StepRows batch,
      KvMemory kv,
      SelectionMemory selection,
      int pass,
      FramePool frames,
      Mailbox mailbox) {
    int heads = kv.layout.kvHeads();
    long memory = frames.memory().segment().address();
    Runnable gather =
        pool.region(
            batch.rows * heads,
            (task, thread) -> {
              int row = task / heads;
              if (batch.seat(row) >= 0) {
                gather(batch, kv, selection, pass, row, task % heads, memory);
              }
            });
    return () -> {
      // What is on NVMe first, so that the drive works while DRAM is copied.
      if (mailbox.acquire(Mailbox.STOPPED) == 0) {
        int requests = request(batch, kv, selection, pass, mailbox);
        mailbox.release(Mailbox.COUNT, requests);
        if (requests > 0) {
          mailbox.release(Mailbox.ROUND, mailbox.acquire(Mailbox.ROUND) + 1);
          mailbox.doorbell().run();
        }
      } else {
        refuse(batch, kv, selection, pass);
      }
      gather.run();
    };
  }

  /**
   * Copies what is in DRAM, and takes the other misses out of the window again.
   *
   * @param marks where the slots of the pool are marked that are filled; 0 for nowhere
   */
  Runnable prefetch(
      StepRows batch,
      KvMemory kv,
      SelectionMemory selection,
      int pass,
      FramePool frames,
      long marks) {
    int heads = kv.layout.kvHeads();
    long memory = frames.memory().segment().address();
    return pool.region(
        batch.rows * heads,
        (task, thread) -> {
          int row = task / heads;
          int head = task % heads;
          int seat = batch.seat(row);
          if (seat < 0) {
            return;
          }
          long table = kv.slotTable(seat, head);
          int misses = Memory.getInt(selection.missCount(row, head));
          int copied = 0;
          for (int m = 0; m < misses; m++) {
            int i = Memory.getInt(selection.misses(row, head) + 4L * m);
            int chunk = chunk(selection, pass, row, head, i);
            int frame = Memory.getInt(kv.frameOfExtent(seat, head, chunk));
            if (frame < 0) {
              takeOut(kv, selection, row, seat, head, i);
            } else {
              Memory.putInt(kv.lastUse(seat, head, chunk), batch.position(row));
              int slot = Memory.getInt(selection.slots(row, head) + 4L * i);
              kv.bring(memory + kv.chunkInFrame(frame, chunk), kv.chunk(table, slot));
              if (marks != 0) {
                Memory.putInt(KvMemory.mark(marks, table, slot), 1);
              }
              copied++;
            }
          }
          selection.count(row, Selection.DRAM_COUNTER, copied);
        });
  }

  /** Whether the miss is not in DRAM, so that NVMe has to be asked. */
  private static boolean isOnNvme(KvMemory kv, int seat, int head, int chunk) {
    return Memory.getInt(kv.frameOfExtent(seat, head, chunk)) < 0;
  }

  private static int chunk(SelectionMemory selection, int pass, int row, int head, int i) {
    long at = (long) pass * selection.selection.passChunks() + i;
    return Memory.getInt(selection.selected(row, head) + 4 * at);
  }

  /** Writes a request for each miss that is on NVMe; returns how many. */
  private static int request(
      StepRows batch, KvMemory kv, SelectionMemory selection, int pass, Mailbox mailbox) {
    int requests = 0;
    for (int row = 0; row < batch.rows; row++) {
      int seat = batch.seat(row);
      if (seat < 0) {
        continue;
      }
      for (int head = 0; head < kv.layout.kvHeads(); head++) {
        int misses = Memory.getInt(selection.missCount(row, head));
        for (int m = 0; m < misses; m++) {
          int i = Memory.getInt(selection.misses(row, head) + 4L * m);
          int chunk = chunk(selection, pass, row, head, i);
          if (isOnNvme(kv, seat, head, chunk)) {
            mailbox.release(Mailbox.requestWord(requests, 0), kv.layer.layer());
            mailbox.release(Mailbox.requestWord(requests, 1), seat);
            mailbox.release(Mailbox.requestWord(requests, 2), head);
            mailbox.release(Mailbox.requestWord(requests, 3), chunk);
            mailbox.release(Mailbox.requestWord(requests, 4), selection.transit(row, head, i));
            mailbox.release(Mailbox.requestWord(requests, STATUS_WORD), Mailbox.PENDING);
            requests++;
          }
        }
      }
    }
    return requests;
  }

  /** Turns each miss that is on NVMe into a fault. */
  private static void refuse(StepRows batch, KvMemory kv, SelectionMemory selection, int pass) {
    for (int row = 0; row < batch.rows; row++) {
      int seat = batch.seat(row);
      if (seat < 0) {
        continue;
      }
      for (int head = 0; head < kv.layout.kvHeads(); head++) {
        int misses = Memory.getInt(selection.missCount(row, head));
        for (int m = 0; m < misses; m++) {
          int i = Memory.getInt(selection.misses(row, head) + 4L * m);
          int chunk = chunk(selection, pass, row, head, i);
          if (isOnNvme(kv, seat, head, chunk)) {
            Memory.putInt(kv.lastUse(seat, head, chunk), batch.position(row));
            fault(kv, selection, row, seat, head, i);
          }
        }
      }
    }
  }

  /** Notes the use of all misses of a (row, KV head) and copies those that are in DRAM. */
  private static void gather(
      StepRows batch,
      KvMemory kv,
      SelectionMemory selection,
      int pass,
      int row,
      int head,
      long frames) {
    int seat = batch.seat(row);
    int position = batch.position(row);
    long slots = selection.slots(row, head);
    long table = kv.slotTable(seat, head);
    int misses = Memory.getInt(selection.missCount(row, head));
    int copied = 0;
    for (int m = 0; m < misses; m++) {
      int i = Memory.getInt(selection.misses(row, head) + 4L * m);
      int chunk = chunk(selection, pass, row, head, i);
      Memory.putInt(kv.lastUse(seat, head, chunk), position);
      int frame = Memory.getInt(kv.frameOfExtent(seat, head, chunk));
      if (frame >= 0) {
        kv.bring(
            frames + kv.chunkInFrame(frame, chunk), kv.chunk(table, Memory.getInt(slots + 4L * i)));
        copied++;
      }
    }
    selection.count(row, Selection.DRAM_COUNTER, copied);
  }

  /** Takes a chunk that does not come out of the window. */
  private static void fault(
      KvMemory kv, SelectionMemory selection, int row, int seat, int head, int i) {
    takeOut(kv, selection, row, seat, head, i);
    selection.count(row, Selection.FAULT_COUNTER, 1);
  }

  private static void takeOut(
      KvMemory kv, SelectionMemory selection, int row, int seat, int head, int i) {
    long slotAt = selection.slots(row, head) + 4L * i;
    int slot = Memory.getInt(slotAt);
    int chunk = Memory.getInt(kv.chunkOfSlot(kv.slotTable(seat, head), slot));
    kv.leaves(seat, head, chunk, slot);
    Memory.putInt(slotAt, -1);
  }

  Runnable land(KvMemory kv, SelectionMemory selection, Mailbox mailbox, int timeoutMillis) {
    return () -> landed(kv, selection, mailbox, timeoutMillis);
  }

  private static void landed(
      KvMemory kv, SelectionMemory selection, Mailbox mailbox, int timeoutMillis) {
    int requests = mailbox.acquire(Mailbox.COUNT);
    if (requests == 0 || mailbox.acquire(Mailbox.STOPPED) != 0) {
      return;
    }
    await(mailbox, timeoutMillis);
    int heads = kv.layout.kvHeads();
    long transits = mailbox.transit().segment().address();
    for (int request = 0; request < requests; request++) {
      int status = mailbox.acquire(Mailbox.requestWord(request, STATUS_WORD));
      int seat = mailbox.acquire(Mailbox.requestWord(request, 1));
      int head = mailbox.acquire(Mailbox.requestWord(request, 2));
      int transit = mailbox.acquire(Mailbox.requestWord(request, 4));
      int row = transit / selection.selection.passChunks() / heads;
      int i = transit % selection.selection.passChunks();
      if (status == Mailbox.DELIVERED) {
        int slot = Memory.getInt(selection.slots(row, head) + 4L * i);
        kv.bring(
            transits + (long) transit * kv.backing.bytes(),
            kv.chunk(kv.slotTable(seat, head), slot));
        selection.count(row, Selection.NVME_COUNTER, 1);
      } else {
        fault(kv, selection, row, seat, head, i);
      }
    }
  }

  private static void await(Mailbox mailbox, int timeoutMillis) {
    int round = mailbox.acquire(Mailbox.ROUND);
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMillis);
    for (int looks = 0; mailbox.acquire(Mailbox.SERVED) != round; looks++) {
      if (looks < SPINS) {
        Thread.onSpinWait();
      } else if (System.nanoTime() - deadline >= 0) {
        mailbox.release(Mailbox.STOPPED, 1);
        return;
      } else {
        LockSupport.parkNanos(NAP_NANOS);
      }
    }
  }
}

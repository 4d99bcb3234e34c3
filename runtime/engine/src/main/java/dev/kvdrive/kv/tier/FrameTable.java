package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ExtentArrays;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Brings the device's {@code frameOfExtent} up to date: notes which entries changed, and sends them
 * as pairs of index and frame, in one upload and one {@link KvOperations.Place} for all layers and
 * seats of a step, where there were as many copies as (layers, seats). Pairs lie in pieces of host
 * memory, each used again when the upload that read it has finished; what one piece has no room for
 * goes with the next.
 */
final class FrameTable implements AutoCloseable {
  private final ExtentTable extents;
  private final ExtentSpace space;
  private final ExtentArrays arrays;
  private final KvOperations operations;
  private final Submissions submissions;
  private final HostBuffer staging;
  private final int capacity;
  private final long[] usedBy = new long[Workspace.CHANGE_PIECES];
  private int piece;

  /** Changes in the present piece. */
  private int count;

  /** A bit for each changed entry. */
  private final long[] changed;

  /** Changed range of each (layer, seat), relative to its first extent; empty if from >= to. */
  private final int[] from;

  private final int[] to;

  FrameTable(
      ExtentTable extents,
      ExtentArrays arrays,
      KvOperations operations,
      Submissions submissions,
      Device device) {
    this.extents = extents;
    this.space = extents.space();
    this.arrays = arrays;
    this.operations = operations;
    this.submissions = submissions;
    capacity = Math.toIntExact(arrays.changes().bytes() / 8);
    staging = device.allocateHost("changed frames", 8L * capacity * Workspace.CHANGE_PIECES);
    changed = new long[Math.ceilDiv(space.ofSeats(), Long.SIZE)];
    from = new int[space.layers() * space.seats()];
    to = new int[from.length];
    Arrays.fill(from, Integer.MAX_VALUE);
  }

  long stagingBytes() {
    return staging.bytes();
  }

  /** The frame of an extent has changed, and of those that are the same. */
  void changed(int extent) {
    int at = extent;
    do {
      if (at < space.ofSeats()) {
        note(at);
      }
      at = extents.next(at);
    } while (at != extent);
  }

  private void note(int extent) {
    int at = extent / space.perHolder();
    int entry = extent % space.perHolder();
    from[at] = Math.min(from[at], entry);
    to[at] = Math.max(to[at], entry + 1);
    changed[extent / Long.SIZE] |= 1L << extent % Long.SIZE;
  }

  /** The seat is closed: nobody reads its table before it is cleared. */
  void forget(int layer, int seat) {
    if (!space.isSeat(seat)) {
      return;
    }
    int at = layer * space.seats() + seat;
    for (int entry = from[at]; entry < to[at]; entry++) {
      take(at * space.perHolder() + entry);
    }
    clear(at);
  }

  /** Whether an entry has changed; afterwards it has not. */
  private boolean take(int extent) {
    long bit = 1L << extent % Long.SIZE;
    boolean is = (changed[extent / Long.SIZE] & bit) != 0;
    changed[extent / Long.SIZE] &= ~bit;
    return is;
  }

  /** Uploads what changed in one (layer, seat). */
  void upload(Queue queue, int layer, int seat) {
    pack(queue, layer * space.seats() + seat);
    send(queue);
  }

  /** Uploads everything that changed. */
  void uploadAll(Queue queue) {
    for (int at = 0; at < from.length; at++) {
      pack(queue, at);
    }
    send(queue);
  }

  private void pack(Queue queue, int at) {
    MemorySegment words = staging.segment();
    for (int entry = from[at]; entry < to[at]; entry++) {
      int extent = at * space.perHolder() + entry;
      if (take(extent)) {
        if (count == 0) {
          waitForPiece(queue);
        }
        long pair = 8L * ((long) piece * capacity + count);
        words.set(ValueLayout.JAVA_INT, pair, extent);
        words.set(ValueLayout.JAVA_INT, pair + 4, extents.frame(extent));
        count++;
        if (count == capacity) {
          send(queue);
        }
      }
    }
    clear(at);
  }

  /** Until the upload that read the present piece last has finished. */
  private void waitForPiece(Queue queue) {
    if (!submissions.isDone(usedBy[piece])) {
      submissions.poll();
      if (!submissions.isDone(usedBy[piece])) {
        submissions.synchronize(queue, submissions.current() - 1);
        Arrays.fill(usedBy, 0); // also what this call has uploaded so far
      }
    }
  }

  private void send(Queue queue) {
    if (count == 0) {
      return;
    }
    queue.upload(staging, 8L * piece * capacity, arrays.changes(), 0, 8L * count);
    operations.place(
        queue, new KvOperations.Place(arrays.frameOfExtent(), arrays.changes(), count));
    usedBy[piece] = submissions.current();
    piece = (piece + 1) % usedBy.length;
    count = 0;
  }

  private void clear(int at) {
    from[at] = Integer.MAX_VALUE;
    to[at] = 0;
  }

  @Override
  public void close() {
    staging.close();
  }
}

package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Brings the device's {@code frameOfExtent} tables up to date: notes which entries changed, and
 * uploads the changed range of each (layer, seat) through a ring of staging pieces. A piece is used
 * again when the upload that read it has finished.
 */
final class FrameTable implements AutoCloseable {
  private final ExtentTable extents;
  private final ExtentSpace space;
  private final List<KvLayer> layers;
  private final Submissions submissions;
  private final HostBuffer staging;
  private final long[] usedBy;
  private int piece;

  /** Changed range of each (layer, seat), relative to its first extent; empty if from >= to. */
  private final int[] from;

  private final int[] to;

  FrameTable(ExtentTable extents, List<KvLayer> layers, Submissions submissions, Device device) {
    this.extents = extents;
    this.space = extents.space();
    this.layers = layers;
    this.submissions = submissions;
    int pieces = space.layers() * space.seats();
    staging = device.allocateHost("frame table uploads", 4L * pieces * space.perSeat());
    usedBy = new long[pieces];
    from = new int[pieces];
    to = new int[pieces];
    Arrays.fill(from, Integer.MAX_VALUE);
  }

  long stagingBytes() {
    return staging.bytes();
  }

  /** The frame of an extent has changed. */
  void changed(int extent) {
    int at = extent / space.perSeat();
    int entry = extent % space.perSeat();
    from[at] = Math.min(from[at], entry);
    to[at] = Math.max(to[at], entry + 1);
  }

  /** The seat is closed: nobody reads its table before it is cleared. */
  void forget(int layer, int seat) {
    clear(layer * space.seats() + seat);
  }

  /** Uploads what changed in one (layer, seat). */
  void upload(Queue queue, int layer, int seat) {
    int at = layer * space.seats() + seat;
    if (from[at] >= to[at]) {
      return;
    }
    if (!submissions.isDone(usedBy[piece])) {
      submissions.poll();
      if (!submissions.isDone(usedBy[piece])) {
        submissions.synchronize(queue, submissions.current() - 1);
        Arrays.fill(usedBy, 0); // also what this call has uploaded so far
      }
    }
    long pieceBytes = 4L * space.perSeat();
    long bytes = 4L * (to[at] - from[at]);
    MemorySegment words = staging.segment();
    int base = space.base(layer, seat);
    for (int entry = from[at]; entry < to[at]; entry++) {
      words.set(
          ValueLayout.JAVA_INT,
          piece * pieceBytes + 4L * (entry - from[at]),
          extents.frame(base + entry));
    }
    queue.upload(
        staging,
        piece * pieceBytes,
        layers.get(layer).frameOfExtent(),
        seat * pieceBytes + 4L * from[at],
        bytes);
    usedBy[piece] = submissions.current();
    piece = (piece + 1) % usedBy.length;
    clear(at);
  }

  /** Uploads everything that changed. */
  void uploadAll(Queue queue) {
    for (int at = 0; at < from.length; at++) {
      if (from[at] < to[at]) {
        upload(queue, at / space.seats(), at % space.seats());
      }
    }
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

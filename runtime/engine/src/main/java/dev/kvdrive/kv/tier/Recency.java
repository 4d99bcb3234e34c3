package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import java.lang.foreign.ValueLayout;

/**
 * When extents were last used, in steps of the store. The device notes the position at which a
 * sequence last fetched from an extent; the host reads that now and then, under pressure, and turns
 * positions into steps when it is asked, so that reading costs a copy and no pass over the frames.
 *
 * <p>Belongs to the engine thread.
 */
final class Recency implements AutoCloseable {
  /** Steps after which what the device noted is read again. */
  static final int STEPS = 8;

  private final ExtentTable extents;
  private final ExtentSpace space;
  private final DeviceBuffer lastUse;
  private final HostBuffer noted;
  private final int[] position;
  private final int[] steppedAt;
  private int clock;

  /** As of the last reading: what the positions in {@link #noted} are compared with. */
  private final int[] positionRead;

  private final int[] steppedRead;
  private final boolean[] read;
  private int readAt;

  /**
   * @param lastUse of all extents of seats, as {@link ExtentSpace} counts them
   */
  Recency(ExtentTable extents, DeviceBuffer lastUse, Device device) {
    this.extents = extents;
    space = extents.space();
    this.lastUse = lastUse;
    noted = device.allocateHost("last use of extents", 4L * space.ofSeats());
    position = new int[space.seats()];
    steppedAt = new int[space.seats()];
    positionRead = new int[space.seats()];
    steppedRead = new int[space.seats()];
    read = new boolean[space.seats()];
  }

  long bytes() {
    return noted.bytes();
  }

  /** The present step. */
  int clock() {
    return clock;
  }

  void open(int seat) {
    position[seat] = 0;
    steppedAt[seat] = clock;
    read[seat] = false;
  }

  /** A sequence has been prefilled up to a position. */
  void reached(int seat, int at) {
    position[seat] = Math.max(position[seat], at);
  }

  /** A step begins. */
  void step() {
    clock++;
  }

  /** The present step takes a sequence to a position. */
  void stepped(int seat, int at) {
    position[seat] = at;
    steppedAt[seat] = clock;
  }

  /**
   * The last use of an extent, whichever of those that are the same was used.
   *
   * @param known a step in which it was used
   */
  int of(int extent, int known) {
    int last = known;
    int at = extent;
    do {
      if (at < space.ofSeats()) {
        last = ofSeat(at, last);
      }
      at = extents.next(at);
    } while (at != extent);
    return last;
  }

  private int ofSeat(int extent, int known) {
    int seat = space.holder(extent);
    if (!read[seat]) {
      return known;
    }
    int at = noted.segment().get(ValueLayout.JAVA_INT, 4L * extent);
    // Positions of a sequence advance with the steps it takes part in.
    return at < 0 ? known : Math.max(known, steppedRead[seat] - (positionRead[seat] - at));
  }

  /** Reads from the device when extents were last fetched, unless that is known well enough. */
  void read(Queue queue, Submissions submissions) {
    if (clock - readAt < STEPS) {
      return;
    }
    readAt = clock;
    queue.download(lastUse, 0, noted, 0, noted.bytes());
    submissions.synchronize(queue, submissions.current() - 1);
    for (int seat = 0; seat < space.seats(); seat++) {
      read[seat] = extents.isOpen(seat);
      positionRead[seat] = position[seat];
      steppedRead[seat] = steppedAt[seat];
    }
  }

  @Override
  public void close() {
    noted.close();
  }
}

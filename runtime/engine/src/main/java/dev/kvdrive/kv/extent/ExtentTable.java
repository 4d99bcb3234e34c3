package dev.kvdrive.kv.extent;

import java.util.Arrays;

/**
 * Where every extent is, and what each seat has closed. An extent is nowhere, in a DRAM frame, or
 * only in an NVMe slot; a copy that a resident extent has on NVMe is noted with its frame. One word
 * an extent, so that the table of a million tokens stays small.
 *
 * <p>Belongs to the engine thread, which changes it only while no step is under way.
 */
public final class ExtentTable {
  public static final int NONE = -1;

  private final ExtentSpace space;
  private final int extentChunks;

  /** By extent: a frame, {@link #NONE}, or an NVMe slot counted down from -2. */
  private final int[] place;

  private final int[] closedChunks;
  private final boolean[] open;
  private final long[] identity;
  private long openings;

  public ExtentTable(ExtentSpace space, int extentChunks) {
    this.space = space;
    this.extentChunks = extentChunks;
    place = new int[space.size()];
    Arrays.fill(place, NONE);
    closedChunks = new int[space.layers() * space.seats()];
    open = new boolean[space.seats()];
    identity = new long[space.seats()];
  }

  public ExtentSpace space() {
    return space;
  }

  // --- seats ---

  /** Gives a seat to a sequence that no other sequence of this process is taken for. */
  public void open(int seat, SequenceIdentity sequence) {
    if (open[seat]) {
      throw new IllegalStateException("seat " + seat + " is open");
    }
    open[seat] = true;
    identity[seat] = ExtentChecksum.identity(sequence, openings++);
  }

  /** Whose extents these were is forgotten; their places are the caller's to free. */
  public void close(int seat) {
    open[seat] = false;
    identity[seat] = 0;
    for (int layer = 0; layer < space.layers(); layer++) {
      closedChunks[layer * space.seats() + seat] = 0;
    }
  }

  public boolean isOpen(int seat) {
    return open[seat];
  }

  /** Part of the checksum of every extent of the seat. */
  public long identity(int seat) {
    return identity[seat];
  }

  /** Chunks that a (layer, seat) has closed. */
  public int closedChunks(int layer, int seat) {
    return closedChunks[layer * space.seats() + seat];
  }

  public void closeChunks(int layer, int seat, int chunks) {
    closedChunks[layer * space.seats() + seat] = chunks;
  }

  // --- places ---

  /** Frame of a resident extent, or {@link #NONE}. */
  public int frame(int extent) {
    return Math.max(place[extent], NONE);
  }

  public boolean resident(int extent) {
    return place[extent] >= 0;
  }

  /** NVMe slot of an extent that is in no frame, or {@link #NONE}. */
  public int slot(int extent) {
    return place[extent] <= -2 ? -2 - place[extent] : NONE;
  }

  public void putInFrame(int extent, int frame) {
    place[extent] = frame;
  }

  public void putInSlot(int extent, int slot) {
    place[extent] = -2 - slot;
  }

  public void putNowhere(int extent) {
    place[extent] = NONE;
  }

  /** Whether all chunks of an extent are closed: from then on it never changes. */
  public boolean full(int extent) {
    return (space.extent(extent) + 1) * extentChunks
        <= closedChunks[space.layer(extent) * space.seats() + space.seat(extent)];
  }
}

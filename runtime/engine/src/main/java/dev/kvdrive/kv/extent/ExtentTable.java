package dev.kvdrive.kv.extent;

import java.util.Arrays;

/**
 * Where every extent is, what each holder has closed, and which extents are one and the same. An
 * extent is nowhere, in a DRAM frame, or only in an NVMe slot; a copy that a resident extent has on
 * NVMe is noted with its frame. A word of place for each extent, so that the table of a million
 * tokens stays small, and one that leads to the next of those that are the same: they form a cycle,
 * and are in one place, all of them.
 *
 * <p>Belongs to the engine thread, which changes it only while no step is under way.
 */
public final class ExtentTable {
  public static final int NONE = -1;

  private final ExtentSpace space;
  private final int extentChunks;

  /** By extent: a frame, {@link #NONE}, or an NVMe slot counted down from -2. */
  private final int[] place;

  /** By extent: the next of those that are the same, itself if there is no other. */
  private final int[] next;

  private final int[] closedChunks;
  private final boolean[] open;

  /** By (holder, extent). */
  private final long[] identity;

  private long openings;

  public ExtentTable(ExtentSpace space, int extentChunks) {
    this.space = space;
    this.extentChunks = extentChunks;
    place = new int[space.size()];
    Arrays.fill(place, NONE);
    next = new int[space.size()];
    Arrays.setAll(next, extent -> extent);
    closedChunks = new int[space.layers() * space.holders()];
    open = new boolean[space.holders()];
    identity = new long[space.holders() * space.maxExtents()];
  }

  public ExtentSpace space() {
    return space;
  }

  // --- holders ---

  /**
   * Gives a holder to a sequence. What is made of its prompt has the identity of the prompt, all
   * else one that no other sequence of this process is taken for.
   *
   * @param ofPrompt identities of its first extents: {@link ExtentChecksum#ofPrompt}
   */
  public void open(int holder, SequenceIdentity sequence, long[] ofPrompt) {
    if (open[holder]) {
      throw new IllegalStateException("seat " + holder + " is open");
    }
    open[holder] = true;
    int first = holder * space.maxExtents();
    Arrays.fill(
        identity, first, first + space.maxExtents(), ExtentChecksum.identity(sequence, openings++));
    System.arraycopy(ofPrompt, 0, identity, first, Math.min(ofPrompt.length, space.maxExtents()));
  }

  /** Whose extents these were is forgotten; their places are the caller's to free. */
  public void close(int holder) {
    open[holder] = false;
    Arrays.fill(identity, holder * space.maxExtents(), (holder + 1) * space.maxExtents(), 0);
    for (int layer = 0; layer < space.layers(); layer++) {
      closedChunks[layer * space.holders() + holder] = 0;
    }
  }

  public boolean isOpen(int holder) {
    return open[holder];
  }

  /** Of the extents of a holder, in their order. */
  public long[] identities(int holder) {
    return Arrays.copyOfRange(
        identity, holder * space.maxExtents(), (holder + 1) * space.maxExtents());
  }

  /** Part of the checksum of an extent: whose it is, or what it was made of. */
  public long identity(int extent) {
    return identity[space.holder(extent) * space.maxExtents() + space.extent(extent)];
  }

  /** Chunks that a (layer, holder) has closed. */
  public int closedChunks(int layer, int holder) {
    return closedChunks[layer * space.holders() + holder];
  }

  public void closeChunks(int layer, int holder, int chunks) {
    closedChunks[layer * space.holders() + holder] = chunks;
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
    put(extent, frame);
  }

  public void putInSlot(int extent, int slot) {
    put(extent, -2 - slot);
  }

  public void putNowhere(int extent) {
    put(extent, NONE);
  }

  private void put(int extent, int where) {
    int at = extent;
    do {
      place[at] = where;
      at = next[at];
    } while (at != extent);
  }

  /** Whether all chunks of an extent are closed: from then on it never changes. */
  public boolean full(int extent) {
    return (space.extent(extent) + 1) * extentChunks
        <= closedChunks[space.layer(extent) * space.holders() + space.holder(extent)];
  }

  // --- extents that are the same ---

  /** The next of those that are the same as an extent; itself if there is no other. */
  public int next(int extent) {
    return next[extent];
  }

  /** Whether another extent is the same. */
  public boolean shared(int extent) {
    return next[extent] != extent;
  }

  /** Of those that are the same as an extent, how many are of seats. */
  public int seated(int extent) {
    int count = 0;
    int at = extent;
    do {
      count += space.isSeat(space.holder(at)) ? 1 : 0;
      at = next[at];
    } while (at != extent);
    return count;
  }

  /** An extent that is nowhere is the same as another from now on, which is full. */
  public void join(int extent, int other) {
    if (place[extent] != NONE || next[extent] != extent) {
      throw new IllegalStateException(space.name(extent) + " is there already");
    }
    next[extent] = next[other];
    next[other] = extent;
    place[extent] = place[other];
  }

  /** An extent is nowhere from now on; those that were the same stay where they are. */
  public void part(int extent) {
    int before = extent;
    while (next[before] != extent) {
      before = next[before];
    }
    next[before] = next[extent];
    next[extent] = extent;
    place[extent] = NONE;
  }
}

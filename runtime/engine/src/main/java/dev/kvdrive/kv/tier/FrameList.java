package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.extent.ExtentSpace;
import java.util.Arrays;

/**
 * The DRAM frames: what each of them holds, since when, and when the device last had to do with it;
 * and which are free. A frame that neither is free nor holds an extent is in the hands of I/O.
 *
 * <p>Belongs to the engine thread.
 */
final class FrameList {
  static final int NONE = -1;

  /** {@link #copy} of a frame that is on its way to NVMe. */
  private static final int ON_ITS_WAY = -2;

  private final int[] extent;
  private final int[] copy;
  private final int[] lastUse;
  private final long[] since;
  private final long[] usedBy;
  private final int[] free;
  private final ExtentSpace space;
  private final int[] heldBy;
  private int freeCount;
  private int held;
  private long ages;

  FrameList(int frames, ExtentSpace space) {
    this.space = space;
    heldBy = new int[space.holders()];
    extent = new int[frames];
    copy = new int[frames];
    lastUse = new int[frames];
    since = new long[frames];
    usedBy = new long[frames];
    free = new int[frames];
    Arrays.fill(extent, NONE);
    Arrays.fill(copy, NONE);
    for (int i = 0; i < frames; i++) {
      free[i] = frames - 1 - i; // the first taken is frame 0
    }
    freeCount = frames;
  }

  int size() {
    return extent.length;
  }

  int free() {
    return freeCount;
  }

  /** Frames that hold an extent. */
  int held() {
    return held;
  }

  /** Frames that hold an extent of a holder; one that several have counts for one of them. */
  int heldBy(int holder) {
    return heldBy[holder];
  }

  /** Frames that I/O has. */
  int inHands() {
    return extent.length - freeCount - held;
  }

  /** Takes a free frame, which there must be; it is then in the caller's hands. */
  int take() {
    return free[--freeCount];
  }

  /** Takes a free frame that no device work can touch any more, or {@link #NONE}. */
  int takeQuiet(Submissions submissions) {
    for (int i = freeCount - 1; i >= 0; i--) {
      int frame = free[i];
      if (submissions.isDone(usedBy[frame])) {
        free[i] = free[--freeCount];
        return frame;
      }
    }
    return NONE;
  }

  /** Takes a frame back that is in somebody's hands. */
  void give(int frame) {
    free[freeCount++] = frame;
  }

  /** An extent comes to a frame that is in the caller's hands. */
  void hold(int frame, int extentIndex, int use) {
    extent[frame] = extentIndex;
    copy[frame] = NONE;
    lastUse[frame] = use;
    since[frame] = ages++;
    heldBy[space.holder(extentIndex)]++;
    held++;
  }

  /** The frame holds nothing any more and is in the caller's hands. */
  void drop(int frame) {
    heldBy[space.holder(extent[frame])]--;
    extent[frame] = NONE;
    copy[frame] = NONE;
    held--;
  }

  /** The extent in a frame is another's from now on, which is the same. */
  void passOn(int frame, int extentIndex) {
    heldBy[space.holder(extent[frame])]--;
    extent[frame] = extentIndex;
    heldBy[space.holder(extentIndex)]++;
  }

  /** The extent in a frame, one of those that are the same; or {@link #NONE}. */
  int extent(int frame) {
    return extent[frame];
  }

  /** Grows with every extent that comes to a frame: tells who came first. */
  long since(int frame) {
    return since[frame];
  }

  /** Step in which the extent came, was brought back, or was recalled. */
  int lastUse(int frame) {
    return lastUse[frame];
  }

  /** The extent was used in a step. */
  void used(int frame, int use) {
    lastUse[frame] = Math.max(lastUse[frame], use);
  }

  /** NVMe slot with a copy of the extent, or {@link #NONE}. */
  int copy(int frame) {
    return Math.max(copy[frame], NONE);
  }

  void copied(int frame, int slot) {
    copy[frame] = slot;
  }

  boolean writing(int frame) {
    return copy[frame] == ON_ITS_WAY;
  }

  void beginWrite(int frame) {
    copy[frame] = ON_ITS_WAY;
  }

  void failWrite(int frame) {
    copy[frame] = NONE;
  }

  /** Number of the last device work that may use the frame. */
  long usedBy(int frame) {
    return usedBy[frame];
  }

  void useBy(int frame, long number) {
    usedBy[frame] = number;
  }
}

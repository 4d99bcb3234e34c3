package dev.kvdrive.kv.tier;

import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;

/**
 * Moves extents between their places. An extent is nowhere, in a DRAM frame, in a frame with a copy
 * in an NVMe slot, or in a slot only; every change from one to another is a method here, which
 * changes the extent table, the frames and the slots together and notes what the device has to be
 * told. When and which extents move is for others to say.
 *
 * <p>Belongs to the engine thread.
 */
final class Residence {
  private static final int NONE = -1;

  private final ExtentTable extents;
  private final ExtentSpace space;
  private final FrameList frames;
  private final SlotAllocator slots;
  private final FrameTable table;
  private final Submissions submissions;
  private final SeatNeeds needs;
  private int reclaimCursor;
  private int writtenSlots;
  private int validSlots;

  Residence(
      ExtentTable extents,
      FrameList frames,
      SlotAllocator slots,
      FrameTable table,
      Submissions submissions,
      SeatNeeds needs) {
    this.extents = extents;
    this.space = extents.space();
    this.frames = frames;
    this.slots = slots;
    this.table = table;
    this.submissions = submissions;
    this.needs = needs;
  }

  ExtentTable extents() {
    return extents;
  }

  FrameList frames() {
    return frames;
  }

  /** Slots with an extent of an open seat. */
  int validSlots() {
    return validSlots;
  }

  /** Slots with an extent that is on shelves alone. */
  int keptSlots() {
    return writtenSlots - validSlots;
  }

  /** Frames with an extent that is on shelves alone. */
  int keptFrames() {
    int kept = 0;
    for (int shelf = space.seats(); shelf < space.holders(); shelf++) {
      kept += frames.heldBy(shelf);
    }
    return kept;
  }

  /**
   * Whether the extent in a frame, if there is one, could leave: it is full, and no work uses it.
   */
  boolean canLeave(int frame) {
    int e = frames.extent(frame);
    return e >= 0 && extents.full(e) && submissions.isDone(frames.usedBy(frame));
  }

  /**
   * Gives an extent that is nowhere a free frame, which there must be; one that has a frame keeps
   * it.
   *
   * @param step in which it is used
   * @param number of the device work that uses it
   */
  void use(int e, int step, long number) {
    if (!extents.resident(e)) {
      if (extents.slot(e) >= 0) {
        throw new IllegalStateException(
            "extent %d is full and cannot be written again".formatted(space.extent(e)));
      }
      put(e, frames.take(), step);
    }
    frames.useBy(extents.frame(e), number);
  }

  /**
   * An extent was read from its slot into a frame that is in I/O's hands, and stays there.
   *
   * @return whether it does; if it has a frame already the frame is free again
   */
  boolean bringBack(int e, int frame, int step) {
    if (extents.resident(e)) {
      frames.give(frame);
      return false;
    }
    int slot = extents.slot(e);
    put(e, frame, step);
    frames.copied(frame, slot);
    return true;
  }

  private void put(int e, int frame, int step) {
    frames.hold(frame, e, step);
    extents.putInFrame(e, frame);
    table.changed(e);
  }

  /** An extent with a copy on NVMe gives up its frame. */
  void leave(int frame) {
    int e = frames.extent(frame);
    int slot = frames.copy(frame);
    drop(frame);
    extents.putInSlot(e, slot);
    table.changed(e);
  }

  private void drop(int frame) {
    frames.drop(frame);
    giveUsed(frame);
  }

  /** A frame that device work submitted by now may still read is free. */
  private void giveUsed(int frame) {
    frames.useBy(frame, submissions.current());
    frames.give(frame);
  }

  // --- copies on NVMe ---

  /**
   * A slot for a copy of the extent in a frame, or -1 if there is none.
   *
   * @param again whether another extent in DRAM may give up its copy for it, and so may have to be
   *     written again
   */
  int slotFor(int frame, boolean again) {
    int stream = space.stream(frames.extent(frame));
    int slot = slots.allocate(stream);
    return slot < 0 && again && reclaim() ? slots.allocate(stream) : slot;
  }

  /** Gives up the copy of an extent that is in DRAM as well. */
  private boolean reclaim() {
    for (int i = 0; i < frames.size(); i++) {
      int frame = reclaimCursor;
      reclaimCursor = (reclaimCursor + 1) % frames.size();
      int slot = frames.copy(frame);
      if (slot >= 0) {
        free(slot, frames.extent(frame));
        frames.copied(frame, NONE);
        return true;
      }
    }
    return false;
  }

  /** A slot of an extent that is not parted with yet is free. */
  private void free(int slot, int e) {
    slots.free(slot);
    writtenSlots--;
    validSlots -= extents.seated(e) > 0 ? 1 : 0;
  }

  /** The extent in a frame is on its way to a slot. */
  void beginWrite(int frame) {
    frames.beginWrite(frame);
  }

  /** The copy of the extent in a frame is in a slot. */
  void written(int frame, int slot, byte[] proof) {
    frames.copied(frame, slot);
    slots.proofs().put(slot, proof);
    writtenSlots++;
    validSlots += extents.seated(frames.extent(frame)) > 0 ? 1 : 0;
  }

  /** There is no copy of the extent in a frame after all. */
  void notWritten(int frame, int slot) {
    slots.free(slot);
    frames.failWrite(frame);
  }

  /** A slot that nothing was written to is free again. */
  void giveBack(int slot) {
    slots.free(slot);
  }

  // --- extents that are the same ---

  /** An extent that is nowhere is the same as another, which is full, from now on. */
  void share(int e, int other) {
    int seated = extents.seated(other);
    extents.join(e, other);
    if (space.isSeat(space.holder(e))) {
      if (seated == 0) {
        validSlots += slotOf(e) >= 0 ? 1 : 0;
        int frame = extents.frame(e);
        if (frame >= 0) {
          frames.passOn(frame, e);
        }
      } else {
        needs.same(1);
      }
    }
    table.changed(e);
  }

  /** An extent that others are the same as is nowhere; they stay. */
  private void part(int e) {
    int other = extents.next(e);
    int frame = extents.frame(e);
    extents.part(e);
    int seated = extents.seated(other);
    if (frame >= 0 && frames.extent(frame) == e) {
      while (seated > 0 && !space.isSeat(space.holder(other))) {
        other = extents.next(other);
      }
      frames.passOn(frame, other);
    }
    if (space.isSeat(space.holder(e))) {
      if (seated > 0) {
        needs.same(-1);
      } else {
        validSlots -= slotOf(other) >= 0 ? 1 : 0;
      }
    }
  }

  /** The slot of an extent, alone or as a copy; or -1. */
  private int slotOf(int e) {
    int frame = extents.frame(e);
    return frame < 0 ? extents.slot(e) : frames.copy(frame);
  }

  // --- the end of a holder ---

  /** The sequence of an extent that is on its way to NVMe has gone; its frame is in I/O's hands. */
  void orphan(int frame) {
    extents.putNowhere(frames.extent(frame));
    frames.drop(frame);
  }

  /** The write of such an extent has ended. */
  void orphanWritten(int frame, int slot) {
    slots.free(slot);
    giveUsed(frame);
  }

  /** Frees all that a holder alone has, but for frames in I/O's hands. */
  void forget(int holder) {
    for (int layer = 0; layer < space.layers(); layer++) {
      int base = space.base(layer, holder);
      for (int e = base; e < base + space.perHolder(); e++) {
        if (extents.shared(e)) {
          part(e);
        } else {
          forgetExtent(e);
        }
      }
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        slots.forget(space.stream(space.index(layer, holder, kvHead, 0)));
      }
      table.forget(layer, holder);
    }
  }

  private void forgetExtent(int e) {
    int frame = extents.frame(e);
    int slot = slotOf(e);
    if (slot >= 0) {
      free(slot, e);
    }
    if (frame >= 0) {
      drop(frame);
    }
    extents.putNowhere(e);
  }
}

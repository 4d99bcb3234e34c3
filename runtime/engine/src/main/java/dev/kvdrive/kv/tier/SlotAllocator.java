package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.StoreHeap;
import java.util.Arrays;

/**
 * The extents of the NVMe files: which are free, and what proves the bytes of the others. A stream,
 * the extents of one (layer, seat, KV head), takes its slots from a segment of {@value #SEGMENT}
 * neighbours as long as there are whole free segments, so that what is read together lies together;
 * after that any slot will do.
 */
final class SlotAllocator {
  static final int SEGMENT = StoreHeap.SEGMENT;

  private static final int NONE = -1;

  private final int slots;
  private final long[] free;
  private final int[] segmentOfStream;
  private final SlotProofs proofs;
  private int freeSlots;
  private int wholeSegments;
  private int wholeCursor;
  private int anyCursor;

  SlotAllocator(int slots, int streams, SlotProofs proofs) {
    this.slots = slots;
    free = new long[Math.ceilDiv(slots, SEGMENT)];
    for (int segment = 0; segment < free.length; segment++) {
      free[segment] = whole(segment);
    }
    segmentOfStream = new int[streams];
    Arrays.fill(segmentOfStream, NONE);
    this.proofs = proofs;
    freeSlots = slots;
    wholeSegments = free.length;
  }

  int slots() {
    return slots;
  }

  int freeSlots() {
    return freeSlots;
  }

  /** What proves the extents in them. */
  SlotProofs proofs() {
    return proofs;
  }

  /** A slot near the stream's others, or -1 if all are taken. */
  int allocate(int stream) {
    if (freeSlots == 0) {
      return NONE;
    }
    int segment = segmentOfStream[stream];
    if (segment == NONE || free[segment] == 0) {
      segment = wholeSegments > 0 ? nextWhole() : nextAny();
      segmentOfStream[stream] = segment;
    }
    if (free[segment] == whole(segment)) {
      wholeSegments--;
    }
    int bit = Long.numberOfTrailingZeros(free[segment]);
    free[segment] &= ~(1L << bit);
    freeSlots--;
    return segment * SEGMENT + bit;
  }

  void free(int slot) {
    int segment = slot / SEGMENT;
    long bit = 1L << (slot % SEGMENT);
    if (slot < 0 || slot >= slots || (free[segment] & bit) != 0) {
      throw new IllegalStateException("NVMe slot " + slot + " is not taken");
    }
    proofs.forget(slot);
    free[segment] |= bit;
    freeSlots++;
    if (free[segment] == whole(segment)) {
      wholeSegments++;
    }
  }

  /** The stream has ended: its next slot starts a new segment. */
  void forget(int stream) {
    segmentOfStream[stream] = NONE;
  }

  private long whole(int segment) {
    int count = Math.min(SEGMENT, slots - segment * SEGMENT);
    return count == SEGMENT ? -1L : (1L << count) - 1;
  }

  private int nextWhole() {
    while (free[wholeCursor] != whole(wholeCursor)) {
      wholeCursor = (wholeCursor + 1) % free.length;
    }
    return wholeCursor;
  }

  private int nextAny() {
    while (free[anyCursor] == 0) {
      anyCursor = (anyCursor + 1) % free.length;
    }
    return anyCursor;
  }
}

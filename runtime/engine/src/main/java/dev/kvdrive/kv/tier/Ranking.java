package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.StoreHeap;

/**
 * The extents that leave DRAM next, the coldest first. Made by passes over the frames that keep
 * those with the lowest priority; of a large tier the next pass is made piece by piece while the
 * last one is used up, so that no step waits for a whole pass.
 *
 * <p>What has changed since a pass is found out when an extent's turn comes: one that has become
 * warmer, cannot leave, or is another by now is passed over. Belongs to the engine thread.
 */
final class Ranking {
  private static final int NONE = -1;

  /** Frames that a pass may look at in one go. */
  static final int AT_ONCE = 1 << 14;

  /** What the ranking asks about the extent in a frame. */
  interface Candidates {
    /** Whether it is complete and the device is done with it, so that it could leave. */
    boolean isCandidate(int frame);

    /** Its priority: the lowest leaves first. */
    int priority(int frame);
  }

  private final FrameList frames;
  private final Candidates candidates;
  private final int atOnce;
  private ColdList current;
  private ColdList next;

  /** Frames that the pass under way has looked at. */
  private int scanned;

  private int ranked;

  /** Whether a whole pass was made since {@link #begin}. */
  private boolean fresh;

  Ranking(FrameList frames, Candidates candidates) {
    this(frames, candidates, AT_ONCE);
  }

  Ranking(FrameList frames, Candidates candidates, int atOnce) {
    this.frames = frames;
    this.candidates = candidates;
    this.atOnce = atOnce;
    int capacity = StoreHeap.ranked(frames.size());
    current = new ColdList(capacity);
    next = new ColdList(capacity);
  }

  /** A search begins, or things have changed so that another pass may find more. */
  void begin() {
    fresh = false;
  }

  /**
   * Frame of the coldest extent that is not on its way to NVMe yet, or -1. It stays the coldest
   * until it has left or is on its way.
   */
  int coldest() {
    while (true) {
      int frame = ahead(0);
      if (frame < 0) {
        if (!another()) {
          return NONE;
        }
      } else if (frames.writing(frame)) {
        current.remove(0);
      } else {
        return frame;
      }
    }
  }

  /**
   * Frame of the extent {@code n} places behind the coldest of those ranked, or -1 if there is
   * none; it may be on its way to NVMe. What is no candidate any more is taken off the list on the
   * way.
   */
  int ahead(int n) {
    while (current.remaining() > n) {
      int frame = current.frame(n);
      if (frames.since(frame) == current.since(n)
          && candidates.isCandidate(frame)
          && candidates.priority(frame) <= current.priority(n)) {
        return frame;
      }
      current.remove(n);
    }
    return NONE;
  }

  /** Priority with which the {@code n}th was ranked, after {@link #ahead} has found it. */
  int priority(int n) {
    return current.priority(n);
  }

  /** Makes another list; false if the last one is as good as any. */
  boolean another() {
    if (fresh) {
      return false;
    }
    fresh = scanned == 0;
    scan(frames.size());
    finish();
    return true;
  }

  /** Goes on with the next pass in proportion to what of the last is used up. */
  void pace() {
    if (frames.size() <= atOnce || ranked == 0) {
      return;
    }
    long used = (long) ranked - current.remaining();
    int due = (int) Math.min(frames.size(), 2 * used * frames.size() / ranked);
    if (due > scanned) {
      scan(Math.min(due, scanned + atOnce));
    }
  }

  private void scan(int to) {
    if (scanned == 0) {
      next.begin();
    }
    for (; scanned < to; scanned++) {
      if (frames.extent(scanned) >= 0 && candidates.isCandidate(scanned)) {
        next.offer(scanned, candidates.priority(scanned), frames.since(scanned));
      }
    }
  }

  private void finish() {
    next.end();
    ColdList list = current;
    current = next;
    next = list;
    scanned = 0;
    ranked = current.remaining();
  }
}

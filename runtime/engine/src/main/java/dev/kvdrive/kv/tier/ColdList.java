package dev.kvdrive.kv.tier;

/**
 * The frames that leave DRAM next: of all that were offered, those with the lowest priority, the
 * lowest first, the older first among equals. Bounded, so that ranking the frames of a large DRAM
 * tier costs one pass and no garbage.
 */
final class ColdList {
  private final int capacity;
  private final int[] frames;
  private final int[] priorities;
  private final long[] since;
  private int size;
  private int head;

  ColdList(int capacity) {
    this.capacity = capacity;
    frames = new int[capacity];
    priorities = new int[capacity];
    since = new long[capacity];
  }

  /** Forgets everything; offers follow. */
  void begin() {
    size = 0;
    head = 0;
  }

  /** Offers a frame; the warmest that is too many is dropped. */
  void offer(int frame, int priority, long sinceWhen) {
    if (size < capacity) {
      set(size, frame, priority, sinceWhen);
      up(size++);
    } else if (before(priority, sinceWhen, 0)) {
      set(0, frame, priority, sinceWhen);
      down(0, size);
    }
  }

  /** Orders what was offered; no offers after it. */
  void end() {
    for (int end = size - 1; end > 0; end--) {
      swap(0, end);
      down(0, end);
    }
  }

  /** Entries left. */
  int remaining() {
    return size - head;
  }

  /** The frame {@code ahead} places behind the coldest left. */
  int frame(int ahead) {
    return frames[head + ahead];
  }

  int priority(int ahead) {
    return priorities[head + ahead];
  }

  /** Age number it was offered with: tells whether it still holds the same extent. */
  long since(int ahead) {
    return since[head + ahead];
  }

  /** Takes an entry away; cheap near the coldest. */
  void remove(int ahead) {
    for (int i = head + ahead; i > head; i--) {
      set(i, frames[i - 1], priorities[i - 1], since[i - 1]);
    }
    head++;
  }

  // A heap with the warmest on top while offers come in.

  private boolean before(int priority, long sinceWhen, int other) {
    return priority < priorities[other]
        || (priority == priorities[other] && sinceWhen < since[other]);
  }

  private void up(int at) {
    while (at > 0) {
      int parent = (at - 1) / 2;
      if (!before(priorities[parent], since[parent], at)) {
        return;
      }
      swap(parent, at);
      at = parent;
    }
  }

  private void down(int at, int end) {
    while (true) {
      int child = 2 * at + 1;
      if (child >= end) {
        return;
      }
      if (child + 1 < end && before(priorities[child], since[child], child + 1)) {
        child++;
      }
      if (!before(priorities[at], since[at], child)) {
        return;
      }
      swap(at, child);
      at = child;
    }
  }

  private void set(int at, int frame, int priority, long sinceWhen) {
    frames[at] = frame;
    priorities[at] = priority;
    since[at] = sinceWhen;
  }

  private void swap(int a, int b) {
    int frame = frames[a];
    int priority = priorities[a];
    long sinceWhen = since[a];
    set(a, frames[b], priorities[b], since[b]);
    set(b, frame, priority, sinceWhen);
  }
}

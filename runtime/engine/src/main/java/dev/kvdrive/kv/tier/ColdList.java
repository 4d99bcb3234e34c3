package dev.kvdrive.kv.tier;

/**
 * The extents that leave DRAM next: of all that were offered, those with the lowest priority, the
 * lowest first, the older first among equals. Bounded, so that ranking the frames of a large DRAM
 * tier costs one pass and no garbage.
 */
final class ColdList {
  private final int capacity;
  private final int[] extents;
  private final int[] priorities;
  private final long[] created;
  private int size;
  private int head;

  ColdList(int capacity) {
    this.capacity = capacity;
    extents = new int[capacity];
    priorities = new int[capacity];
    created = new long[capacity];
  }

  /** Forgets everything; offers follow. */
  void begin() {
    size = 0;
    head = 0;
  }

  /** Offers an extent; the warmest that is too many is dropped. */
  void offer(int extent, int priority, long createdAt) {
    if (size < capacity) {
      set(size, extent, priority, createdAt);
      up(size++);
    } else if (before(priority, createdAt, 0)) {
      set(0, extent, priority, createdAt);
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

  /** The extent {@code ahead} places behind the coldest left. */
  int extent(int ahead) {
    return extents[head + ahead];
  }

  int priority(int ahead) {
    return priorities[head + ahead];
  }

  /** Age number it was offered with: tells whether the extent is still the same. */
  long created(int ahead) {
    return created[head + ahead];
  }

  /** Takes the coldest away. */
  void advance() {
    head++;
  }

  // A heap with the warmest on top while offers come in.

  private boolean before(int priority, long createdAt, int other) {
    return priority < priorities[other]
        || (priority == priorities[other] && createdAt < created[other]);
  }

  private void up(int at) {
    while (at > 0) {
      int parent = (at - 1) / 2;
      if (!before(priorities[parent], created[parent], at)) {
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
      if (child + 1 < end && before(priorities[child], created[child], child + 1)) {
        child++;
      }
      if (!before(priorities[at], created[at], child)) {
        return;
      }
      swap(at, child);
      at = child;
    }
  }

  private void set(int at, int extent, int priority, long createdAt) {
    extents[at] = extent;
    priorities[at] = priority;
    created[at] = createdAt;
  }

  private void swap(int a, int b) {
    int extent = extents[a];
    int priority = priorities[a];
    long createdAt = created[a];
    set(a, extents[b], priorities[b], created[b]);
    set(b, extent, priority, createdAt);
  }
}

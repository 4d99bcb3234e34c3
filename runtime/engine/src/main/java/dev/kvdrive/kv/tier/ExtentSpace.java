package dev.kvdrive.kv.tier;

/**
 * Numbers the extents of all seats: {@code [layers][seats][kvHeads][maxExtents]}, last index
 * fastest, so that the extents of one (layer, seat) lie as in {@code KvLayer.frameOfExtent}.
 */
record ExtentSpace(int layers, int seats, int kvHeads, int maxExtents) {
  ExtentSpace {
    long all = (long) layers * seats * kvHeads * maxExtents;
    if (all > Integer.MAX_VALUE / 4) {
      throw new IllegalArgumentException(
          "%d layers x %d seats x %d KV heads x %d extents are more extents than a store can number; make extents larger"
              .formatted(layers, seats, kvHeads, maxExtents));
    }
  }

  int size() {
    return layers * seats * kvHeads * maxExtents;
  }

  /** Extents of one (layer, seat). */
  int perSeat() {
    return kvHeads * maxExtents;
  }

  /** First extent of (layer, seat). */
  int base(int layer, int seat) {
    return (layer * seats + seat) * perSeat();
  }

  int index(int layer, int seat, int kvHead, int extent) {
    return base(layer, seat) + kvHead * maxExtents + extent;
  }

  int layer(int index) {
    return index / (seats * perSeat());
  }

  int seat(int index) {
    return index / perSeat() % seats;
  }

  int kvHead(int index) {
    return index / maxExtents % kvHeads;
  }

  int extent(int index) {
    return index % maxExtents;
  }

  /** The (layer, seat, KV head) an extent belongs to, as one number. */
  int stream(int index) {
    return index / maxExtents;
  }

  int streams() {
    return layers * seats * kvHeads;
  }
}

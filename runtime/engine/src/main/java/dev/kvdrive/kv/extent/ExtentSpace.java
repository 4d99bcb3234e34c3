package dev.kvdrive.kv.extent;

/**
 * Numbers the extents of all seats: {@code [layers][seats][kvHeads][maxExtents]}, last index
 * fastest, so that the extents of one (layer, seat) lie as in {@code KvLayer.frameOfExtent}.
 */
public record ExtentSpace(int layers, int seats, int kvHeads, int maxExtents) {
  public ExtentSpace {
    long all = (long) layers * seats * kvHeads * maxExtents;
    if (all > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "%d layers x %d seats x %d KV heads x %d extents are more extents than a store can number; make extents larger"
              .formatted(layers, seats, kvHeads, maxExtents));
    }
  }

  public int size() {
    return layers * seats * kvHeads * maxExtents;
  }

  /** Extents of one (layer, seat). */
  public int perSeat() {
    return kvHeads * maxExtents;
  }

  /** First extent of (layer, seat). */
  public int base(int layer, int seat) {
    return (layer * seats + seat) * perSeat();
  }

  public int index(int layer, int seat, int kvHead, int extent) {
    return base(layer, seat) + kvHead * maxExtents + extent;
  }

  public int layer(int index) {
    return index / (seats * perSeat());
  }

  public int seat(int index) {
    return index / perSeat() % seats;
  }

  public int kvHead(int index) {
    return index / maxExtents % kvHeads;
  }

  public int extent(int index) {
    return index % maxExtents;
  }

  /** The (layer, seat, KV head) an extent belongs to, as one number. */
  public int stream(int index) {
    return index / maxExtents;
  }

  public int streams() {
    return layers * seats * kvHeads;
  }

  /** An extent in words. */
  public String name(int index) {
    return "extent %d of layer %d, KV head %d"
        .formatted(extent(index), layer(index), kvHead(index));
  }
}

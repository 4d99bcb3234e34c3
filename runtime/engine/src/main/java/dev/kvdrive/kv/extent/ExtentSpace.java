package dev.kvdrive.kv.extent;

/**
 * Numbers the extents of all holders: {@code [layers][seats][kvHeads][maxExtents]}, last index
 * fastest, so that the extents of one (layer, seat) lie as in {@code KvLayer.frameOfExtent}; behind
 * them those of the shelves, {@code [shelves][layers][kvHeads][maxExtents]}, which the device does
 * not know.
 *
 * <p>A holder is a seat or a shelf. Shelves, where the extents of a prompt stay whose sequence has
 * ended, are numbered behind the seats.
 */
public record ExtentSpace(int layers, int seats, int shelves, int kvHeads, int maxExtents) {
  public ExtentSpace {
    long all = (long) layers * (seats + shelves) * kvHeads * maxExtents;
    if (all > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "%d layers x %d seats and %d shelves x %d KV heads x %d extents are more extents than a store can number; make extents larger"
              .formatted(layers, seats, shelves, kvHeads, maxExtents));
    }
  }

  /** Extents of seats and shelves. */
  public int size() {
    return layers * holders() * perHolder();
  }

  /** Extents of seats, which the device knows: they come first. */
  public int ofSeats() {
    return layers * seats * perHolder();
  }

  public int holders() {
    return seats + shelves;
  }

  public boolean isSeat(int holder) {
    return holder < seats;
  }

  /** Extents of one (layer, holder). */
  public int perHolder() {
    return kvHeads * maxExtents;
  }

  /** First extent of (layer, holder). */
  public int base(int layer, int holder) {
    return (holder < seats
            ? layer * seats + holder
            : layers * seats + (holder - seats) * layers + layer)
        * perHolder();
  }

  public int index(int layer, int holder, int kvHead, int extent) {
    return base(layer, holder) + kvHead * maxExtents + extent;
  }

  public int layer(int index) {
    int at = index / perHolder();
    return at < layers * seats ? at / seats : (at - layers * seats) % layers;
  }

  /** The seat or shelf whose extent it is. */
  public int holder(int index) {
    int at = index / perHolder();
    return at < layers * seats ? at % seats : seats + (at - layers * seats) / layers;
  }

  public int kvHead(int index) {
    return index / maxExtents % kvHeads;
  }

  public int extent(int index) {
    return index % maxExtents;
  }

  /** The (layer, holder, KV head) an extent belongs to, as one number. */
  public int stream(int index) {
    return index / maxExtents;
  }

  public int streams() {
    return layers * holders() * kvHeads;
  }

  /** An extent in words. */
  public String name(int index) {
    return "extent %d of layer %d, KV head %d"
        .formatted(extent(index), layer(index), kvHead(index));
  }
}

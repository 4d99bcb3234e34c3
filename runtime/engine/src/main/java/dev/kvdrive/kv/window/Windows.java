package dev.kvdrive.kv.window;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.WindowOperations;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * Owns which slots of the pool every window has, and moves them between windows as the {@link
 * WindowDivision} says: a window that shrinks loses the chunks in its last places, one that grows
 * gets empty slots. No chunk moves and no token changes; a step only finds other tables. Between
 * steps, on the engine thread.
 */
public final class Windows implements AutoCloseable {
  private static final int EMPTY = -1;

  private final WindowOperations operations;
  private final List<KvLayer> layers;
  private final List<LayerReuse> reuse;
  private final WindowDivision division;
  private final int seats;
  private final int heads;
  private final int allSlots;
  private final DeviceBuffer slotBases;
  private final DeviceBuffer keep;
  private final HostBuffer staging;

  /** The slots of each window, by {@code (seat * layers + layer) * heads + head}. */
  private final int[][] lists;

  private final int[] free;
  private int freeCount;

  /** In {@link #staging}, in words: what is kept, where lists begin, the table, ages of a seat. */
  private final int keepAt = 0;

  private final int basesAt;
  private final int tableAt;
  private final int agesAt;

  /**
   * @param layers share one pool
   * @param slotBases where the lists of all layers begin, of which each layer's are a part
   * @param reuse of the layers; empty if nobody observes
   * @param keep device memory, {@code int[seats][kvHeads]}; stays the caller's
   */
  Windows(
      Device device,
      Queue queue,
      EngineSizes sizes,
      List<KvLayer> layers,
      DeviceBuffer slotBases,
      List<LayerReuse> reuse,
      DeviceBuffer keep) {
    operations = device.operations().window();
    this.layers = layers;
    this.reuse = reuse;
    this.slotBases = slotBases;
    this.keep = keep;
    division = new WindowDivision(sizes, sizes.windows().division());
    seats = sizes.concurrency();
    heads = sizes.layout().kvHeads();
    allSlots = layers.getFirst().window().slots();
    basesAt = keepAt + seats * heads;
    tableAt = basesAt + layers.size() * seats * (heads + 1);
    agesAt = tableAt + allSlots;
    lists = new int[seats * layers.size() * heads][0];
    free = new int[allSlots];
    for (int slot = 0; slot < allSlots; slot++) {
      free[slot] = allSlots - 1 - slot;
    }
    freeCount = allSlots;
    staging = device.allocateHost("tables of the windows", Workspace.windowStagingBytes(sizes));
    try {
      for (LayerReuse of : reuse) {
        queue.fill(of.lastSelected(), 0, of.lastSelected().bytes() / 4, EMPTY);
        queue.fill(of.ages(), 0, of.ages().bytes() / 4, 0);
      }
      queue.fill(layers.getFirst().window().chunkOfSlot(), 0, allSlots, EMPTY);
      apply(queue);
    } catch (RuntimeException e) {
      staging.close();
      throw e;
    }
  }

  /** Whether steps are to note what they select. */
  public boolean observes() {
    return division.observes() && !reuse.isEmpty();
  }

  /** Slots of a window. */
  public int slots(int seat, int layer, int head) {
    return division.slots(seat, layer, head);
  }

  /** Sees what is in windows. */
  public interface SlotReader {
    /** A slot of a seat's windows holds a chunk. */
    void holds(int seat, int chunk);
  }

  /**
   * Reads which chunk each slot of each window holds; of seats that are not taken it means nothing.
   * Waits for the device.
   */
  public void read(Queue queue, SlotReader reader) {
    // Where the table is staged, which is written as a whole before it is used.
    queue.download(
        layers.getFirst().window().chunkOfSlot(), 0, staging, 4L * tableAt, 4L * allSlots);
    queue.synchronize();
    for (int window = 0; window < lists.length; window++) {
      int seat = window / heads / layers.size();
      for (int slot : lists[window]) {
        int chunk = word(tableAt + slot);
        if (chunk != EMPTY) {
          reader.holds(seat, chunk);
        }
      }
    }
  }

  /** Gives a seat its windows, before its maps are emptied. */
  void open(Queue queue, int seat) {
    if (observes()) {
      for (LayerReuse of : reuse) {
        long chunks = of.lastSelected().bytes() / 4 / seats;
        queue.fill(of.lastSelected(), 4 * chunks * seat, chunks, EMPTY);
        long ages = of.ages().bytes() / 4 / seats;
        queue.fill(of.ages(), 4 * ages * seat, ages, 0);
      }
    }
    if (division.open(seat)) {
      apply(queue);
    }
  }

  /** Takes the windows of a seat that is left back. No effect on one that is not taken. */
  public void close(Queue queue, int seat) {
    if (division.taken(seat) && division.close(seat, observes() ? ages(queue, seat) : null)) {
      apply(queue);
    }
  }

  /** Notes that each layer has selected for a token of a seat. */
  public void selected(int seat) {
    if (observes()) {
      division.selected(seat);
    }
  }

  /** Divides anew where it is time and worth it; after each step. */
  public void stepped(Queue queue) {
    if (!division.stepped()) {
      return;
    }
    for (int seat = 0; seat < seats; seat++) {
      if (division.taken(seat)) {
        division.take(seat, ages(queue, seat));
      }
    }
    if (division.divide()) {
      apply(queue);
    }
  }

  private int[] ages(Queue queue, int seat) {
    int words = heads * LayerReuse.CLASSES;
    for (int layer = 0; layer < layers.size(); layer++) {
      queue.download(
          reuse.get(layer).ages(),
          4L * seat * words,
          staging,
          4L * (agesAt + layer * words),
          4L * words);
    }
    queue.synchronize();
    int[] ages = new int[layers.size() * words];
    for (int i = 0; i < ages.length; i++) {
      ages[i] = word(agesAt + i);
    }
    return ages;
  }

  /** Moves slots until every window has what the division says. */
  private void apply(Queue queue) {
    shrink(queue);
    for (int window = 0; window < lists.length; window++) {
      int have = lists[window].length;
      int want = wanted(window);
      if (want > have) {
        lists[window] = Arrays.copyOf(lists[window], want);
        for (int place = have; place < want; place++) {
          lists[window][place] = free[--freeCount];
        }
      }
    }
    upload(queue);
  }

  /** Empties the places that windows lose, and takes their slots. */
  private void shrink(Queue queue) {
    for (int layer = 0; layer < layers.size(); layer++) {
      boolean any = false;
      boolean[] shrinks = new boolean[seats];
      for (int seat = 0; seat < seats; seat++) {
        for (int head = 0; head < heads; head++) {
          int window = window(seat, layer, head);
          word(keepAt + seat * heads + head, wanted(window));
          shrinks[seat] |= lists[window].length > wanted(window);
        }
        any |= shrinks[seat];
      }
      if (any) {
        queue.upload(staging, 4L * keepAt, keep, 0, 4L * seats * heads);
        for (int seat = 0; seat < seats; seat++) {
          if (shrinks[seat]) {
            operations.trim(queue, new WindowOperations.Trim(layers.get(layer), seat, keep));
          }
        }
        queue.synchronize(); // before the next layer's is written
      }
    }
    for (int window = 0; window < lists.length; window++) {
      int want = wanted(window);
      if (lists[window].length > want) {
        for (int place = want; place < lists[window].length; place++) {
          free[freeCount++] = lists[window][place];
        }
        lists[window] = Arrays.copyOf(lists[window], want);
      }
    }
  }

  private void upload(Queue queue) {
    int next = 0;
    for (int layer = 0; layer < layers.size(); layer++) {
      int bases = basesAt + layer * seats * (heads + 1);
      for (int seat = 0; seat < seats; seat++) {
        for (int head = 0; head < heads; head++) {
          word(bases + seat * (heads + 1) + head, next);
          for (int slot : lists[window(seat, layer, head)]) {
            word(tableAt + next++, slot);
          }
        }
        word(bases + seat * (heads + 1) + heads, next);
      }
    }
    queue.upload(staging, 4L * basesAt, slotBases, 0, slotBases.bytes());
    if (next > 0) {
      queue.upload(staging, 4L * tableAt, layers.getFirst().window().slotTable(), 0, 4L * next);
    }
    queue.synchronize();
  }

  private int wanted(int window) {
    int head = window % heads;
    int layer = window / heads % layers.size();
    return division.slots(window / heads / layers.size(), layer, head);
  }

  private int window(int seat, int layer, int head) {
    return (seat * layers.size() + layer) * heads + head;
  }

  private int word(int at) {
    return staging.segment().getAtIndex(ValueLayout.JAVA_INT, at);
  }

  private void word(int at, int value) {
    staging.segment().setAtIndex(ValueLayout.JAVA_INT, at, value);
  }

  @Override
  public void close() {
    staging.close();
  }
}

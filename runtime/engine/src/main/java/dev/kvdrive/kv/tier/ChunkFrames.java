package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.extent.ExtentTable;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;

/**
 * Gives frames to the extents of chunks that are about to close, in prefill and in a step.
 *
 * <p>Belongs to the engine thread.
 */
final class ChunkFrames {
  private final KvLayout layout;
  private final ChunkGrid grid;
  private final int maxChunks;
  private final Residence residence;
  private final ExtentTable extents;
  private final ExtentSpace space;
  private final Recency recency;
  private final Room room;

  ChunkFrames(EngineSizes sizes, Residence residence, Recency recency, Room room) {
    layout = sizes.layout();
    grid = layout.grid();
    maxChunks = sizes.maxChunks();
    this.residence = residence;
    extents = residence.extents();
    space = extents.space();
    this.recency = recency;
    this.room = room;
  }

  /** {@link TieredStore#hasRoomForChunks}. */
  boolean hasRoom(Queue queue, int seat, int fromChunk, int toChunk) {
    int wanted = layout.extents(toChunk) - layout.extents(fromChunk);
    return wanted == 0 || room.forLayer(queue, seat, wanted) > 0;
  }

  /** Checks that chunks {@code [fromChunk, toChunk)} can be the next of a layer of a seat. */
  void check(int layer, int seat, int fromChunk, int toChunk) {
    int have = extents.closedChunks(layer, seat);
    if (fromChunk != have || toChunk <= fromChunk || toChunk > maxChunks) {
      throw new IllegalArgumentException(
          "chunks [%d, %d) of layer %d cannot follow the %d chunks of seat %d, which has room for %d"
              .formatted(fromChunk, toChunk, layer, have, seat, maxChunks));
    }
  }

  /**
   * For chunks of a layer in prefill: {@link TieredStore#provideForChunks}.
   *
   * @param number of the device work that closes them
   * @return the chunk up to which there is room; {@code fromChunk} if there is none yet
   */
  int forLayer(Queue queue, int layer, int seat, int fromChunk, int toChunk, long number) {
    int firstNew = layout.extents(fromChunk);
    int wanted = layout.extents(toChunk) - firstNew;
    int found = wanted == 0 ? 0 : room.forLayer(queue, seat, wanted);
    if (found == 0 && wanted > 0) {
      return fromChunk;
    }
    int end = Math.min(toChunk, (firstNew + found) * layout.extentChunks());
    for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
      for (int extent = fromChunk / layout.extentChunks(); extent < layout.extents(end); extent++) {
        residence.use(space.index(layer, seat, kvHead, extent), recency.clock(), number);
      }
    }
    extents.closeChunks(layer, seat, end);
    recency.reached(seat, grid.firstToken(end));
    return end;
  }

  /**
   * For the chunk that a row of a step closes, if it closes one, in all layers.
   *
   * @param at position of the row's token
   * @return whether there is room
   */
  boolean forRow(Queue queue, int seat, int at, long number) {
    int before = grid.closedChunks(at);
    int after = grid.closedChunks(at + 1);
    for (int layer = 0; layer < space.layers(); layer++) {
      int have = extents.closedChunks(layer, seat);
      if (have != before || after > maxChunks) {
        throw new IllegalArgumentException(
            "a token at position %d of seat %d follows %d closed chunks of at most %d, layer %d has %d"
                .formatted(at, seat, before, maxChunks, layer, have));
      }
    }
    if (after == before) {
      return true;
    }
    int extent = before / layout.extentChunks();
    int missing = 0;
    for (int layer = 0; layer < space.layers(); layer++) {
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        if (!extents.resident(space.index(layer, seat, kvHead, extent))) {
          missing++;
        }
      }
    }
    if (!room.forStep(queue, seat, missing)) {
      return false;
    }
    for (int layer = 0; layer < space.layers(); layer++) {
      for (int kvHead = 0; kvHead < space.kvHeads(); kvHead++) {
        residence.use(space.index(layer, seat, kvHead, extent), recency.clock(), number);
      }
    }
    return true;
  }

  /** A row has made its step: the chunk that it has closed, if any, is there. */
  void closed(int seat, int at) {
    int after = grid.closedChunks(at + 1);
    for (int layer = 0; layer < space.layers(); layer++) {
      extents.closeChunks(layer, seat, after);
    }
  }
}

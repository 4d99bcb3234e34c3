package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Queue;
import dev.kvdrive.plan.EngineSizes;
import java.util.HashMap;
import java.util.Map;

/**
 * Frames for what sequences close next: how many each asks for, how many it leaves to the others,
 * and who waits because they are not free yet.
 *
 * <p>Belongs to the engine thread.
 */
final class Room {
  private final FrameList frames;
  private final Demotion demotion;
  private final int seats;
  private final int heads;

  /** Frames for the open extents of one seat: one for each (layer, KV head). */
  private final int openExtents;

  private final Map<Integer, Demotion.Wait> waits = new HashMap<>();

  Room(EngineSizes sizes, FrameList frames, Demotion demotion) {
    this.frames = frames;
    this.demotion = demotion;
    seats = sizes.concurrency();
    heads = sizes.layout().kvHeads();
    openExtents = Math.toIntExact(sizes.layout().heads());
  }

  /**
   * Makes room for so many extents of every KV head of a layer, or as many of them as make sense at
   * once.
   *
   * @return for how many of each KV head there is room; 0 if the sequence waits
   * @throws TierException if there is no room for one, and will not be
   */
  int forLayer(Queue queue, int seat, int extents) {
    int wanted = extents;
    if ((long) wanted * heads > frames.free()) {
      // Not all at once: what is closed now can be written while the rest is closed.
      int batch = Math.max(1, (frames.size() - seats * openExtents) / (2 * heads));
      wanted = Math.min(wanted, Math.max(batch, frames.free() / heads));
    }
    try {
      if (!has(queue, seat, wanted * heads, heads)) {
        return 0;
      }
    } catch (TierException e) {
      if (frames.free() < heads) {
        throw e;
      }
    }
    return Math.min(wanted, frames.free() / heads);
  }

  /**
   * Makes room for so many extents; if there is none yet, the sequence waits.
   *
   * @throws TierException if there is none, and will not be
   */
  boolean forStep(Queue queue, int seat, int extents) {
    return has(queue, seat, extents, extents);
  }

  /**
   * @param least frames that let it go on where there will not be as many as it needs
   */
  private boolean has(Queue queue, int seat, int need, int least) {
    int kept = keptForOthers(seat, need);
    if (frames.free() < need + kept) {
      Demotion.Wait wait = waits.computeIfAbsent(seat, key -> demotion.begin());
      wait.need(need, least);
      wait.keep(kept);
      if (!demotion.makeRoom(queue, seat, wait)) {
        return false;
      }
    }
    waits.remove(seat);
    return true;
  }

  /**
   * Frames that a sequence leaves to the other seats: those of their open extents, which a plan has
   * for every seat, so that a short sequence never waits because a long one has filled DRAM.
   */
  private int keptForOthers(int seat, int need) {
    if (frames.heldBy(seat) + need <= openExtents) {
      return 0;
    }
    int kept = 0;
    for (int other = 0; other < seats; other++) {
      kept += other == seat ? 0 : Math.max(0, openExtents - frames.heldBy(other));
    }
    return kept;
  }

  /**
   * Whether a sequence still waits for room; goes on making it.
   *
   * @throws TierException if it waits in vain
   */
  boolean waits(Queue queue, int seat) {
    Demotion.Wait wait = waits.get(seat);
    if (wait == null) {
      return false;
    }
    wait.keep(keptForOthers(seat, wait.need()));
    return !demotion.makeRoom(queue, seat, wait);
  }

  /** The sequence of a seat has gone. */
  void forget(int seat) {
    waits.remove(seat);
  }
}
